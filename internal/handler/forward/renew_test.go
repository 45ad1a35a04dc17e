package forward_test

import (
	"context"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/rs/zerolog"
)

// An image that is not stored and whose address has expired, or is missing, is fetched from the vendor's own address.
func TestRenewedSources(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		options fakevendor.JobOptions
		query   string // of the fresh address
		noKey   bool
		reason  event.Reason // "" for an image that is sent
		says    string
	}{
		"fresh address":       {options: fakevendor.JobOptions{Expired: 403}, query: "?lease=1"},
		"one in results":      {options: fakevendor.JobOptions{Expired: 403, Shape: fakevendor.ResultStrings}, query: "?lease=1"},
		"no key, in results":  {options: fakevendor.JobOptions{Expired: 403, Shape: fakevendor.ResultStrings}, noKey: true, reason: event.ReasonExpired, says: "RECEIVER_DEEPIMAGE_API_KEY"},
		"no address":          {options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing}},
		"same address":        {options: fakevendor.JobOptions{Expired: 404}, reason: event.ReasonExpired, says: "same address"},
		"expired again":       {options: fakevendor.JobOptions{Expired: 410}, query: "?lease=0", reason: event.ReasonExpired, says: "fresh address"},
		"no key":              {options: fakevendor.JobOptions{Expired: 403}, noKey: true, reason: event.ReasonExpired, says: "RECEIVER_DEEPIMAGE_API_KEY"},
		"no key, nor address": {options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing}, noKey: true, reason: event.ReasonNoResult, says: "RECEIVER_DEEPIMAGE_API_KEY"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			house, target := newHouse(t, zerolog.Nop()), newTarget(t, nil)
			config := to(target.URL)
			config.Mode = "image"
			h := house.open(t, config)
			e, job := house.event(t, row.options)
			asked := 0
			if !row.noKey {
				h.SetRefresh(func(context.Context, string) (string, error) {
					asked++
					return job.ResultURL + row.query, nil
				})
			}
			_, err := h.Handle(t.Context(), e)
			failed := handler.Classify(err)
			switch {
			case row.reason == "":
				if err != nil || len(target.got()) != 1 {
					t.Errorf("%d calls, error %v", len(target.got()), err)
				}
			case failed == nil || failed.Reason != row.reason || (failed.Action == event.ActionFail) != row.noKey || !strings.Contains(err.Error(), row.says):
				t.Errorf("got %+v", failed)
			}
			if want := map[bool]int{true: 0, false: 1}[row.noKey]; asked != want {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}
