package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
)

// signingHost serves an image under the URL with the second signature. That with the first has expired.
type signingHost struct {
	*httptest.Server
	expired, stored atomic.Int64 // requests
}

func newSigningHost(t *testing.T) *signingHost {
	t.Helper()
	var content bytes.Buffer
	if err := png.Encode(&content, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	h := &signingHost{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("X-Amz-Signature") == "1" {
			h.expired.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.stored.Add(1)
		_, _ = w.Write(content.Bytes())
	}))
	t.Cleanup(h.Close)
	return h
}

// sign returns the URL of a file with a signature.
func (h *signingHost) sign(name string, signature int) string {
	return fmt.Sprintf("%s/%s?X-Amz-Date=%d&X-Amz-Signature=%d", h.URL, name, signature, signature)
}

// acceptAlone accepts a body as a receiver does that ends after the commit.
func acceptAlone(t *testing.T, place *databasetest.Place, body []byte) {
	t.Helper()
	stores := place.Open(t)
	box, err := inbox.Open(t.Context(), stores.Inbox, inbox.Config{MaxBatch: 1, MaxBacklog: 1, MaxRejections: 1, MaxRejectionsBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	e.Received = time.Now()
	if receipt, err := box.Accept(t.Context(), e); err != nil || !receipt.Duplicate {
		t.Errorf("receipt = %+v, error %v, want a duplicate", receipt, err)
	}
	if err := errors.Join(box.Close(), stores.Close()); err != nil {
		t.Error(err)
	}
}

// A duplicate with a newly signed URL helps an event whose URL has expired.
func TestRenewedURLs(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, body string // with a verb for the URLs
		stopped    bool   // the receiver stops before it has processed the duplicate
		results    int
		maxAge     time.Duration
		state      event.Status // before the duplicate
	}{
		{name: "A10 step waits", body: `{"job":"waits","result_url":%[1]q}`, results: 1, maxAge: 72 * time.Hour, state: event.Retrying},
		{name: "A10 step is dead", body: `{"job":"dead","result_url":%[1]q}`, results: 1, maxAge: time.Minute, state: event.Dead},
		{name: "A10 URL in results", body: `{"job":"list","results":[{"url":%[1]q}]}`, results: 1, maxAge: 72 * time.Hour, state: event.Retrying},
		{name: "A10 several results", body: `{"job":"several","results":[{"url":%[1]q},{"url":%[2]q}]}`, results: 2, maxAge: 72 * time.Hour, state: event.Retrying},
		{name: "A10 several results, dead", body: `{"job":"several","result_url":%[1]q,"results":[%[2]q]}`, results: 2, maxAge: time.Minute, state: event.Dead},
		{name: "A10 stopped", body: `{"job":"stopped","results":[{"url":%[1]q},{"url":%[2]q}]}`, results: 2, maxAge: 72 * time.Hour, state: event.Retrying, stopped: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				host, client := newSigningHost(t), newClient(t)
				c := configuration(t, place)
				c.Retry.MinDelay, c.Retry.MaxDelay, c.Retry.MaxAge = time.Hour, time.Hour, row.maxAge
				r := start(t, c)
				signed := func(signature int) []byte {
					return fmt.Appendf(nil, row.body, host.sign("a.png", signature), host.sign("b.png", signature))
				}
				first := post(t, client, r.webhook(), signed(1))
				h := r.reaches(t, first.ID, row.state)
				if got := h.Steps[0].Reason; got != event.ReasonExpired {
					t.Fatalf("reason = %q, want %q", got, event.ReasonExpired)
				}
				if row.stopped {
					r.stop()
					acceptAlone(t, place, signed(2))
					r = start(t, c)
				}
				for signature := 1; signature <= 2 && !row.stopped; signature++ {
					if got := post(t, client, r.webhook(), signed(signature)); got.ID != first.ID || got.Status != "duplicate" {
						t.Errorf("receipt of signature %d = %+v, want a duplicate of %s", signature, got, first.ID)
					}
				}
				h = r.reaches(t, first.ID, event.Done)
				if got := host.stored.Load(); len(h.Artifacts) != row.results+1 || got != int64(row.results) {
					t.Errorf("%d artifacts, %d requests, want %d and %d", len(h.Artifacts), got, row.results+1, row.results)
				}
			})
		})
	}
}
