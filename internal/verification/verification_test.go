package verification_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/verification"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vendor says what a row wants it to say.
type vendor struct {
	verdict deepimage.Verdict
	err     error
}

func (v vendor) Result(context.Context, string, ...deepimage.Look) (deepimage.Verdict, error) {
	return v.verdict, v.err
}

func (v vendor) Delete(context.Context, string) error { return v.err }

// No failure of the API says anything about an event: none costs it an attempt, kills it or puts it into quarantine.
func TestFailuresOfTheAPIAreNoVerdicts(t *testing.T) {
	t.Parallel()
	for kind, want := range map[deepimage.Kind]event.Reason{
		deepimage.KindUnavailable: event.ReasonServerError,
		deepimage.KindLimited:     event.ReasonRateLimited,
		deepimage.KindKey:         event.ReasonAuth,
		deepimage.KindCancelled:   event.ReasonServerError,
		deepimage.KindSource:      event.ReasonRateLimited,
		deepimage.KindJob:         event.ReasonServerError,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			failing := vendor{err: &deepimage.Error{Kind: kind, After: 3 * time.Second, Text: "no word"}}
			e := event.Event{Job: "job-1", Attempt: 1, Source: netip.MustParseAddr("203.0.113.1")}
			_, verified := verification.NewVerify(failing).Handle(t.Context(), e)
			_, deleted := verification.NewDelete(failing).Handle(t.Context(), e)
			_, refreshed := verification.Refresh(failing)(t.Context(), "job-1")
			for name, err := range map[string]error{"verify": verified, "delete": deleted, "refresh": refreshed} {
				f := handler.Failure(err)
				if f == nil || !f.Parked || f.Permanent || f.Quarantined || f.Disabled || f.Reason != want || f.After < 3*time.Second {
					t.Errorf("%s: got %+v", name, f)
				}
				if firm := name == "refresh" || kind == deepimage.KindSource || kind == deepimage.KindJob; f.Firm != firm || f.Silent == firm {
					t.Errorf("%s: got %+v", name, f)
				}
			}
		})
	}
}

// A copy that cannot be removed is a dead step and no endless wait.
func TestRefusedDeletionIsDead(t *testing.T) {
	t.Parallel()
	_, err := verification.NewDelete(vendor{err: &deepimage.Error{Kind: deepimage.KindRefused, Text: "no"}}).Handle(t.Context(), event.Event{})
	if f := handler.Failure(err); f == nil || !f.Permanent || f.Error() != "no" {
		t.Errorf("got %+v", f)
	}
}

// An outage that lasts is asked about more and more seldom.
func TestPausesGrowUpToABound(t *testing.T) {
	t.Parallel()
	failing := verification.NewVerify(vendor{err: &deepimage.Error{Kind: deepimage.KindUnavailable}})
	for attempt, most := range map[int]time.Duration{0: 3 * time.Second, 1: 3 * time.Second, 4: 20 * time.Second, 1000: 75 * time.Second} {
		_, err := failing.Handle(t.Context(), event.Event{Attempt: attempt})
		if f := handler.Failure(err); f.After < most/2 || f.After > most {
			t.Errorf("after %d attempts: %s", attempt, f.After)
		}
	}
}

func TestStoppingIsNoOutage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := verification.NewVerify(vendor{err: &deepimage.Error{Kind: deepimage.KindCancelled}}).Handle(ctx, event.Event{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	const address = "storage://mine/image.png"
	rows := map[deepimage.State]struct {
		verify, refresh func(f *handler.Error) bool
	}{
		deepimage.Complete: {func(f *handler.Error) bool { return f == nil }, func(f *handler.Error) bool { return f == nil }},
		deepimage.Unknown: {
			func(f *handler.Error) bool { return f.Quarantined && f.Reason == event.ReasonNotVerified },
			func(f *handler.Error) bool { return f.Permanent && f.Reason == event.ReasonExpired },
		},
		deepimage.Failed: {
			func(f *handler.Error) bool { return f.Permanent && !f.Gone && f.Reason == event.ReasonOther },
			func(f *handler.Error) bool { return f.Permanent && f.Reason == event.ReasonOther },
		},
		deepimage.Deleted: {
			func(f *handler.Error) bool { return f.Permanent && f.Gone && f.Reason == event.ReasonExpired },
			func(f *handler.Error) bool { return f.Permanent && f.Reason == event.ReasonExpired },
		},
		deepimage.Pending: {
			func(f *handler.Error) bool { return !f.Permanent && !f.Parked && f.Patient && f.After > 0 },
			func(f *handler.Error) bool { return !f.Permanent && !f.Parked && f.Patient && f.After > 0 },
		},
	}
	for state, row := range rows {
		v := vendor{verdict: deepimage.Verdict{State: state, ResultURL: address}}
		outcome, err := verification.NewVerify(v).Handle(t.Context(), event.Event{})
		if !row.verify(handler.Failure(err)) || (err == nil) != outcome.Verified || err == nil && outcome.ResultURL != address {
			t.Errorf("%s: %+v, %v", state, outcome, err)
		}
		if _, err := verification.Refresh(v)(t.Context(), "job-1"); !row.refresh(handler.Failure(err)) {
			t.Errorf("%s: refresh: %v", state, err)
		}
	}
	v := vendor{verdict: deepimage.Verdict{State: deepimage.Pending, Status: "complete"}}
	if _, err := verification.NewVerify(v).Handle(t.Context(), event.Event{}); handler.Failure(err).Reason != event.ReasonNoResult {
		t.Errorf("complete without an address: %v", err)
	}
}
