package download_test

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/rs/zerolog"
)

// A result that has expired or is missing is fetched from the URL that the vendor reports, which is asked once.
func TestRenewal(t *testing.T) {
	t.Parallel()
	outage := handler.Defer(time.Minute, event.CauseStep, event.ReasonServerError, errors.New("the API is down"))
	rows := map[string]struct {
		options fakevendortest.JobOptions
		fresh   func(job fakevendortest.Job) (string, error) // nil without a key
		reason  event.Reason                                 // "" for an image that is stored
		action  event.Action                                 // event.ActionRetry if empty
		asked   int
	}{
		"fresh address":  {options: fakevendortest.JobOptions{Expired: 403}, fresh: lease, asked: 1},
		"never asked":    {fresh: lease},
		"no address":     {options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing}, fresh: own, asked: 1},
		"storage before": {options: fakevendortest.JobOptions{Shape: fakevendortest.ResultStorage}, fresh: own, asked: 1},
		"storage": {
			options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing},
			fresh:   func(fakevendortest.Job) (string, error) { return "storage://mine/image.png", nil },
			reason:  event.ReasonNoResult, action: event.ActionFail, asked: 1,
		},
		"same address":          {options: fakevendortest.JobOptions{Expired: 404}, fresh: own, reason: event.ReasonExpired, asked: 1},
		"fresh has expired too": {options: fakevendortest.JobOptions{Expired: 410}, fresh: stale, reason: event.ReasonExpired, asked: 1},
		"outage": {
			options: fakevendortest.JobOptions{Expired: 410}, fresh: func(fakevendortest.Job) (string, error) { return "", outage },
			action: event.ActionDefer, reason: event.ReasonServerError, asked: 1,
		},
		"no key":                {options: fakevendortest.JobOptions{Expired: 403}, reason: event.ReasonExpired, action: event.ActionFail},
		"no key and no address": {options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing}, reason: event.ReasonNoResult, action: event.ActionFail},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx := openFixture(t, download.Config{}, zerolog.Nop())
			e, job := fx.event(t, row.options)
			asked := 0
			if row.fresh != nil {
				fx.handler.SetRefresh(func(_ context.Context, id string) (string, error) {
					asked++
					if id != job.ID {
						t.Errorf("vendor asked for job %q, want %q", id, job.ID)
					}
					return row.fresh(job)
				})
			}
			t.Cleanup(func() { _ = fx.handler.Close() })
			outcome, err := fx.handler.Handle(t.Context(), e)
			if asked != row.asked {
				t.Errorf("vendor asked %d times, want %d", asked, row.asked)
			}
			if row.reason != "" {
				handlertest.WantError(t, err, cmp.Or(row.action, event.ActionRetry), row.reason)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(outcome.Artifacts) != 2 || outcome.Artifacts[0].SHA256 != job.Images[0].SHA256 {
				t.Errorf("artifacts = %+v, want the image with SHA-256 %s and the manifest", outcome.Artifacts, job.Images[0].SHA256)
			}
			replayStoresNothing(t, fx, e, outcome)
		})
	}
}

// replayStoresNothing replays the event with another signature in its URL.
func replayStoresNothing(t *testing.T, fx *fixture, e event.Event, before handler.Outcome) {
	t.Helper()
	e.Artifacts = before.Artifacts
	if before.ResultURL != "" {
		e.ResultURL = before.ResultURL
	}
	if e.ResultURL != "" {
		e.ResultURL += "?signature=another"
	}
	outcome, err := fx.handler.Handle(t.Context(), e)
	if err != nil || len(outcome.Artifacts) > 0 || len(fx.files(t)) != 2 {
		t.Errorf("replay: artifacts = %+v, error = %v, %d files, want none, none, 2", outcome.Artifacts, err, len(fx.files(t)))
	}
}

func lease(job fakevendortest.Job) (string, error) { return job.ResultURL + "?lease=1", nil }

func own(job fakevendortest.Job) (string, error) { return job.ResultURL, nil }

func stale(job fakevendortest.Job) (string, error) { return job.ResultURL + "?lease=0", nil }
