package download_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
)

// denied is the error code of S3 for a refusal, as its XML.
const denied = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>no</Message></Error>`

// Whatever a bucket answers instead of storing an image, the step is deferred and not dead. Refused credentials wait for a
// person; any other refusal counts if other images can be stored.
func TestBucketThatRefuses(t *testing.T) {
	t.Parallel()
	type refusal struct {
		name   string
		status int
		text   string
		cause  event.Cause
		reason event.Reason
	}
	rows := []refusal{
		{name: "E5 code ExpiredToken", status: 400, text: fmt.Sprintf(denied, "ExpiredToken"), cause: event.CauseStep, reason: event.ReasonAuth},
		{name: "E5 code AccessDenied", status: 403, text: fmt.Sprintf(denied, "AccessDenied"), cause: event.CauseStep, reason: event.ReasonAuth},
		{name: "E5 code AllAccessDisabled", status: 403, text: fmt.Sprintf(denied, "AllAccessDisabled"), cause: event.CauseStep, reason: event.ReasonAuth},
		{name: "F7 quota", status: 403, text: fmt.Sprintf(denied, "QuotaExceeded"), cause: event.CauseStep, reason: event.ReasonStorage},
		{name: "E5 no bucket", status: 404, text: fmt.Sprintf(denied, "NoSuchBucket"), cause: event.CauseOutage, reason: event.ReasonStorage},
	}
	for _, status := range []int{401, 403, 407} {
		rows = append(rows, refusal{name: fmt.Sprint("E5 plain text ", status), status: status, text: "denied by policy", cause: event.CauseStep, reason: event.ReasonAuth})
	}
	for _, status := range []int{400, 402, 404, 405, 406, 410, 411, 421, 451} {
		rows = append(rows, refusal{name: fmt.Sprint("E5 plain text ", status), status: status, text: "no", cause: event.CauseOutage, reason: event.ReasonStorage})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(row.status)
				_, _ = io.WriteString(w, row.text)
			}))
			t.Cleanup(server.Close)
			fx := newFixture(t, download.Config{BucketURL: blobstoretest.S3URL(server.URL, "results")})
			e, _ := fx.event(t, fakevendortest.JobOptions{})
			_, err := fx.handler.Handle(t.Context(), e)
			got := handlertest.WantError(t, err, event.ActionDefer, row.reason)
			if got.Cause != row.cause {
				t.Errorf("cause = %q, want %q", got.Cause, row.cause)
			}
		})
	}
}

// A bucket that does not answer uses up the time of the attempt, and not an attempt.
func TestBucketThatHangs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		images int
	}{{name: "E5 one image", images: 1}, {name: "E5 several images", images: 3}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}))
			t.Cleanup(server.Close)
			fx := newFixture(t, download.Config{BucketURL: blobstoretest.S3URL(server.URL, "results")})
			e, _ := fx.event(t, fakevendortest.JobOptions{Images: row.images, Shape: fakevendortest.ResultStrings})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := fx.handler.Handle(ctx, e)
			got := handler.Classify(err)
			if got == nil || got.Action != event.ActionDefer || got.Cause != event.CauseOutage || !errors.Is(err, ctx.Err()) {
				t.Errorf("error = %+v, want an outage", got)
			}
		})
	}
}
