package app_test

import (
	"bytes"
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

// A duplicate with a newly signed URL helps an event whose URL has expired.
func TestRenewedURLs(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, body string // with a verb for the URL
		maxAge     time.Duration
		state      event.Status // before the duplicate
	}{
		{name: "A10 step waits", body: `{"job":"waits","result_url":%q}`, maxAge: 72 * time.Hour, state: event.Retrying},
		{name: "A10 step is dead", body: `{"job":"dead","result_url":%q}`, maxAge: time.Minute, state: event.Dead},
		{name: "A10 URL in results", body: `{"job":"list","results":[{"url":%q}]}`, maxAge: 72 * time.Hour, state: event.Retrying},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				host, client := newSigningHost(t), newClient(t)
				c := configuration(t, place)
				c.Retry.MinDelay, c.Retry.MaxDelay, c.Retry.MaxAge = time.Hour, time.Hour, row.maxAge
				r := start(t, c)
				signed := func(signature int) []byte {
					return fmt.Appendf(nil, row.body, fmt.Sprintf("%s/a.png?X-Amz-Date=%d&X-Amz-Signature=%d", host.URL, signature, signature))
				}
				first := post(t, client, r.webhook(), signed(1))
				h := r.reaches(t, first.ID, row.state)
				if got := h.Steps[0].Reason; got != event.ReasonExpired {
					t.Fatalf("reason = %q, want %q", got, event.ReasonExpired)
				}
				for _, signature := range []int{1, 2} {
					if got := post(t, client, r.webhook(), signed(signature)); got.ID != first.ID || got.Status != "duplicate" {
						t.Errorf("receipt of signature %d = %+v, want a duplicate of %s", signature, got, first.ID)
					}
				}
				h = r.reaches(t, first.ID, event.Done)
				if len(h.Artifacts) != 2 || host.expired.Load() != 1 || host.stored.Load() != 1 {
					t.Errorf("%d artifacts, %d and %d requests, want 2, 1 and 1", len(h.Artifacts), host.expired.Load(), host.stored.Load())
				}
			})
		})
	}
}
