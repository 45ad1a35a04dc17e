package download_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/rs/zerolog"
)

// A result that has expired, or names no address, is looked for once where the vendor says that it is now.
func TestRenewal(t *testing.T) {
	t.Parallel()
	outage := handler.Defer(time.Minute, event.CauseStep, event.ReasonServerError, errors.New("the API is down"))
	rows := map[string]struct {
		options   fakevendor.JobOptions
		fresh     func(job fakevendor.Job) (string, error) // nil without a key
		reason    event.Reason                             // "" for an image that is stored
		permanent bool
		says      string
		asked     int
	}{
		"fresh address":  {options: fakevendor.JobOptions{Expired: 403}, fresh: lease, asked: 1},
		"never asked":    {fresh: lease},
		"no address":     {options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing}, fresh: own, asked: 1},
		"storage before": {options: fakevendor.JobOptions{Shape: fakevendor.ResultStorage}, fresh: own, asked: 1},
		"storage": {
			options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing},
			fresh:   func(fakevendor.Job) (string, error) { return "storage://mine/image.png", nil },
			reason:  event.ReasonNoResult, permanent: true, says: "in the storage", asked: 1,
		},
		"same address":          {options: fakevendor.JobOptions{Expired: 404}, fresh: own, reason: event.ReasonExpired, says: "the same address", asked: 1},
		"fresh has expired too": {options: fakevendor.JobOptions{Expired: 410}, fresh: stale, reason: event.ReasonExpired, says: "fresh address", asked: 1},
		"outage": {
			options: fakevendor.JobOptions{Expired: 410}, fresh: func(fakevendor.Job) (string, error) { return "", outage },
			reason: event.ReasonServerError, says: "API is down", asked: 1,
		},
		"no key":                {options: fakevendor.JobOptions{Expired: 403}, reason: event.ReasonExpired, permanent: true, says: "RECEIVER_DEEPIMAGE_API_KEY"},
		"no key and no address": {options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing}, reason: event.ReasonNoResult, permanent: true, says: "RECEIVER_DEEPIMAGE_API_KEY"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			house := openHouse(t, download.Config{}, zerolog.Nop())
			e, job := house.event(t, row.options)
			asked := 0
			if row.fresh != nil {
				house.handler.SetRefresh(func(_ context.Context, id string) (string, error) {
					asked++
					if id != job.ID {
						t.Errorf("asked for %q", id)
					}
					return row.fresh(job)
				})
			}
			t.Cleanup(func() { _ = house.handler.Close() })
			outcome, err := house.handler.Handle(t.Context(), e)
			failure := handler.Classify(err)
			if asked != row.asked {
				t.Errorf("asked %d times", asked)
			}
			switch {
			case row.reason == "" && err == nil:
				if len(outcome.Artifacts) != 2 || outcome.Artifacts[0].SHA256 != job.Images[0].SHA256 {
					t.Errorf("got %+v", outcome)
				}
				sameImageUnderAnotherQuery(t, house, e, outcome)
			case failure == nil || failure.Reason != row.reason || (failure.Action == event.ActionFail) != row.permanent || !strings.Contains(err.Error(), row.says):
				t.Errorf("got %+v", failure)
			}
		})
	}
}

// sameImageUnderAnotherQuery: a replay whose address has another signature stores and fetches nothing.
func sameImageUnderAnotherQuery(t *testing.T, house *house, e event.Event, before handler.Outcome) {
	t.Helper()
	e.Artifacts = before.Artifacts
	if before.ResultURL != "" {
		e.ResultURL = before.ResultURL
	}
	if e.ResultURL != "" {
		e.ResultURL += "?signature=another"
	}
	outcome, err := house.handler.Handle(t.Context(), e)
	if err != nil || len(outcome.Artifacts) > 0 || len(house.files(t)) != 2 {
		t.Errorf("a replay stored %+v, error %v", outcome, err)
	}
}

func lease(job fakevendor.Job) (string, error) { return job.ResultURL + "?lease=1", nil }

func own(job fakevendor.Job) (string, error) { return job.ResultURL, nil }

func stale(job fakevendor.Job) (string, error) { return job.ResultURL + "?lease=0", nil }
