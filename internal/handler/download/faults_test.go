package download_test

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
)

// C1 of the list of faults: a JPEG whose writer left out the end marker is stored when the host sends the same bytes twice.
func TestImageWithoutItsEndMarker(t *testing.T) {
	t.Parallel()
	var whole bytes.Buffer
	if err := jpeg.Encode(&whole, image.NewRGBA(image.Rect(0, 0, 40, 30)), nil); err != nil {
		t.Fatal(err)
	}
	file := whole.Bytes()[:whole.Len()-2]
	rows := []struct {
		name       string
		first      []byte
		second     []byte // what the host sends from the second request on
		want       event.Reason
		wantStored bool
	}{
		{name: "same bytes", first: file, second: file, wantStored: true},
		{name: "other bytes", first: file, second: whole.Bytes(), want: event.ReasonTruncated},
		{name: "half, twice", first: file[:len(file)*9/10], second: file[:len(file)*9/10], want: event.ReasonTruncated},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if requests.Add(1) > 1 {
					_, _ = w.Write(row.second)
					return
				}
				_, _ = w.Write(row.first)
			}))
			defer host.Close()
			fx := newFixture(t, download.Config{})
			outcome, err := fx.handler.Handle(t.Context(), newEvent(t, []byte(`{"job":"j","result_url":"`+host.URL+`/a.jpg"}`), 1))
			if row.wantStored {
				if err != nil || len(outcome.Artifacts) != 2 || outcome.Detail == "" {
					t.Errorf("outcome = %+v, error %v; want an image, a manifest and a note", outcome, err)
				}
				return
			}
			failed, ok := errors.AsType[*handler.Error](err)
			if !ok || failed.Reason != row.want || failed.Action != event.ActionRetry {
				t.Errorf("error = %+v, want a retry as %s", err, row.want)
			}
		})
	}
}

// B1 of the list of faults: a result that its host does not have yet is stored when it has.
func TestResultThatIsPublishedLate(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusGone} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			fx := newFixture(t, download.Config{})
			e, _ := fx.event(t, fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Status, Status: status, Times: 1}}})
			e.Received = time.Now()
			_, err := fx.handler.Handle(t.Context(), e)
			handlertest.WantError(t, err, event.ActionHold, event.ReasonExpired)
			if outcome := fx.handle(t, e); len(outcome.Artifacts) != 2 {
				t.Errorf("artifacts = %+v, want an image and a manifest", outcome.Artifacts)
			}
		})
	}
}

// C12 of the list of faults: a replay by a person stores again what is missing or changed in the bucket.
func TestReplayStoresWhatIsMissing(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		harm    func(path string) error
		recheck bool
		want    int // artifacts that are stored again
	}{
		{name: "nothing happened", harm: func(string) error { return nil }, recheck: true},
		{name: "deleted", harm: os.Remove, recheck: true, want: 1},
		{name: "shorter", harm: func(path string) error { return os.Truncate(path, 10) }, recheck: true, want: 1},
		{name: "other bytes of the same length", harm: flipLastByte, recheck: true, want: 1},
		{name: "deleted, an attempt without a replay", harm: os.Remove},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			fx := newFixture(t, download.Config{})
			e, _ := fx.event(t, fakevendortest.JobOptions{Width: 40, Height: 30})
			first, err := fx.handler.Handle(t.Context(), e)
			if err != nil || len(first.Artifacts) != 2 {
				t.Fatalf("outcome = %+v, error %v; want an image and a manifest", first, err)
			}
			if err := row.harm(filepath.Join(fx.folder, first.Artifacts[0].Key)); err != nil {
				t.Fatal(err)
			}
			e.Artifacts, e.Recheck = first.Artifacts, row.recheck
			again, err := fx.handler.Handle(t.Context(), e)
			if err != nil || len(again.Artifacts) != row.want {
				t.Fatalf("outcome = %+v, error %v; want %d artifacts", again, err, row.want)
			}
			for _, artifact := range again.Artifacts {
				content, err := os.ReadFile(filepath.Join(fx.folder, artifact.Key))
				if err != nil || artifact.SHA256 != first.Artifacts[0].SHA256 || int64(len(content)) != artifact.Bytes {
					t.Errorf("stored %+v with %d bytes, error %v; want the image of the first attempt", artifact, len(content), err)
				}
			}
		})
	}
}

// flipLastByte changes one bit of a file.
func flipLastByte(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[len(content)-1] ^= 1
	return os.WriteFile(path, content, 0o600)
}

// B3 of the list of faults: a text instead of the image is retried, and its start is in the detail, without secrets.
func TestTextInsteadOfAnImage(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, body, want string }{
		{name: "text", body: "the file is not ready\n\x1b[31myet", want: `"the file is not ready [31myet"`},
		{name: "JSON", body: `{"error": "not ready", "token": "s3cret"}`, want: "not ready"},
		{name: "broken JSON", body: `{"error": "not ready", "token": "s3cret"`, want: "not ready"},
		{name: "HTML", body: "<!DOCTYPE html><html><body>Please wait", want: "Please wait"},
		{name: "URL of the request", body: "no file at https://host/a.png?X-Amz-Signature=s3cret, sorry", want: "https://host/a.png"},
		{name: "path of the request", body: "no file at /a.png?X-Amz-Signature=s3cret", want: "no file at /a.png"},
		{name: "XML", body: `<?xml version="1.0"?><Error><Code>Busy</Code><Signature>s3cret</Signature></Error>`, want: "Busy"},
		{name: "header of the request", body: "rejected: Authorization: Bearer s3cret", want: "rejected"},
		{name: "long", body: strings.Repeat("é", 500), want: `"` + strings.Repeat("é", 200) + `…"`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(row.body))
			}))
			defer host.Close()
			fx := newFixture(t, download.Config{})
			_, err := fx.handler.Handle(t.Context(), newEvent(t, []byte(`{"job":"j","result_url":"`+host.URL+`/a.png"}`), 1))
			got := handlertest.WantError(t, err, event.ActionRetry, event.ReasonWrongType)
			if detail := got.Error(); !strings.Contains(detail, row.want) || strings.Contains(detail, "s3cret") || strings.Contains(detail, "\x1b") {
				t.Errorf("detail = %q, want %s in it, no secret and no control character", detail, row.want)
			}
		})
	}
}
