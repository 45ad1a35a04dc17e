package forward_test

import (
	"context"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/rs/zerolog"
)

// An image that is not stored and whose URL has expired or is missing is fetched from the URL that the vendor reports.
func TestRenewedSources(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		options fakevendortest.JobOptions
		query   string // of the fresh address
		noKey   bool
		reason  event.Reason // "" for an image that is sent
	}{
		"fresh address":       {options: fakevendortest.JobOptions{Expired: 403}, query: "?lease=1"},
		"one in results":      {options: fakevendortest.JobOptions{Expired: 403, Shape: fakevendortest.ResultStrings}, query: "?lease=1"},
		"no key, in results":  {options: fakevendortest.JobOptions{Expired: 403, Shape: fakevendortest.ResultStrings}, noKey: true, reason: event.ReasonExpired},
		"no address":          {options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing}},
		"same address":        {options: fakevendortest.JobOptions{Expired: 404}, reason: event.ReasonExpired},
		"expired again":       {options: fakevendortest.JobOptions{Expired: 410}, query: "?lease=0", reason: event.ReasonExpired},
		"no key":              {options: fakevendortest.JobOptions{Expired: 403}, noKey: true, reason: event.ReasonExpired},
		"no key, nor address": {options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing}, noKey: true, reason: event.ReasonNoResult},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, target := newFixture(t, zerolog.Nop()), newTarget(t, nil)
			config := to(target.URL)
			config.Mode = "image"
			h := fx.open(t, config)
			e, job := fx.event(t, row.options)
			asked := 0
			if !row.noKey {
				h.SetRefresh(func(context.Context, string) (string, error) {
					asked++
					return job.ResultURL + row.query, nil
				})
			}
			_, err := h.Handle(t.Context(), e)
			switch {
			case row.reason != "":
				action := event.ActionRetry
				if row.noKey {
					action = event.ActionFail
				}
				handlertest.WantError(t, err, action, row.reason)
			case err != nil:
				t.Fatal(err)
			case len(target.got()) != 1:
				t.Errorf("requests = %d, want 1", len(target.got()))
			}
			if want := map[bool]int{true: 0, false: 1}[row.noKey]; asked != want {
				t.Errorf("vendor asked %d times, want %d", asked, want)
			}
		})
	}
}
