package verification_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/verification"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vendor is an API with a fixed response.
type vendor struct {
	jobStatus deepimage.JobStatus
	err       error
}

func (v vendor) Result(context.Context, string, ...deepimage.LookupOption) (deepimage.JobStatus, error) {
	return v.jobStatus, v.err
}

func (v vendor) Delete(context.Context, string) error { return v.err }

// newVerify returns the step with a short grace, and without tracked jobs.
func newVerify(v verification.Vendor) *verification.Verify {
	return verification.NewVerify(v, func(context.Context, string) (bool, error) { return false, nil }, time.Minute)
}

// check compares action, cause and reason of an error; the zero value stands for no error.
func check(t *testing.T, call string, err error, want handler.Error) {
	t.Helper()
	var got handler.Error
	if failure := handler.Classify(err); failure != nil {
		got = handler.Error{Action: failure.Action, Cause: failure.Cause, Reason: failure.Reason}
	}
	if got != want {
		t.Errorf("%s: error = %+v, want %+v", call, got, want)
	}
}

// No failure of the API costs an event an attempt, fails it or quarantines it.
func TestAPIFailuresDefer(t *testing.T) {
	t.Parallel()
	const requested = 3 * time.Second
	rows := []struct {
		kind   deepimage.Kind
		reason event.Reason
		cause  event.Cause // of the steps verify and delete
	}{
		{kind: deepimage.KindUnavailable, reason: event.ReasonServerError, cause: event.CauseOutage},
		{kind: deepimage.KindLimited, reason: event.ReasonRateLimited, cause: event.CauseOutage},
		{kind: deepimage.KindKey, reason: event.ReasonAuth, cause: event.CauseOutage},
		{kind: deepimage.KindCancelled, reason: event.ReasonServerError, cause: event.CauseOutage},
		{kind: deepimage.KindSource, reason: event.ReasonRateLimited, cause: event.CauseStep},
		{kind: deepimage.KindJob, reason: event.ReasonServerError, cause: event.CauseStep},
	}
	for _, row := range rows {
		t.Run(string(row.kind), func(t *testing.T) {
			t.Parallel()
			failing := vendor{err: &deepimage.Error{Kind: row.kind, After: requested, Text: "unavailable"}}
			e := event.Event{Job: "job-1", Attempt: 1, Source: netip.MustParseAddr("203.0.113.1")}
			_, verify := newVerify(failing).Handle(t.Context(), e)
			_, remove := verification.NewDelete(failing).Handle(t.Context(), e)
			_, refresh := verification.Refresh(failing)(t.Context(), "job-1")
			check(t, "verify", verify, handler.Error{Action: event.ActionDefer, Cause: row.cause, Reason: row.reason})
			check(t, "delete", remove, handler.Error{Action: event.ActionDefer, Cause: row.cause, Reason: row.reason})
			check(t, "refresh", refresh, handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: row.reason})
			for call, err := range map[string]error{"verify": verify, "delete": remove, "refresh": refresh} {
				if got := handler.Classify(err).Delay; got < requested {
					t.Errorf("%s: delay = %s, want at least %s", call, got, requested)
				}
			}
		})
	}
}

// A copy that the vendor refuses to delete is a dead step, not an endless retry.
func TestRefusedDeletionFails(t *testing.T) {
	t.Parallel()
	_, err := verification.NewDelete(vendor{err: &deepimage.Error{Kind: deepimage.KindRefused, Text: "no"}}).Handle(t.Context(), event.Event{})
	check(t, "delete", err, handler.Error{Action: event.ActionFail, Reason: event.ReasonOther})
}

// The delays of a lasting outage grow up to a bound.
func TestDelaysGrow(t *testing.T) {
	t.Parallel()
	failing := newVerify(vendor{err: &deepimage.Error{Kind: deepimage.KindUnavailable}})
	for attempt, most := range map[int]time.Duration{0: 3 * time.Second, 1: 3 * time.Second, 4: 20 * time.Second, 1000: 75 * time.Second} {
		_, err := failing.Handle(t.Context(), event.Event{Attempt: attempt})
		if got := handler.Classify(err).Delay; got < most/2 || got > most {
			t.Errorf("delay = %s after %d attempts, want %s to %s", got, attempt, most/2, most)
		}
	}
}

func TestCancellationIsNoOutage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newVerify(vendor{err: &deepimage.Error{Kind: deepimage.KindCancelled}}).Handle(ctx, event.Event{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
}

func TestJobStates(t *testing.T) {
	t.Parallel()
	const address = "storage://mine/image.png"
	rows := []struct {
		name            string
		state           deepimage.State
		status          string
		verify, refresh handler.Error // the zero value stands for success
	}{
		{name: "complete", state: deepimage.Complete},
		{
			name: "unknown", state: deepimage.Unknown,
			verify:  handler.Error{Action: event.ActionQuarantine, Reason: event.ReasonNotVerified},
			refresh: handler.Error{Action: event.ActionFail, Reason: event.ReasonExpired},
		},
		{
			name: "failed", state: deepimage.Failed,
			verify:  handler.Error{Action: event.ActionFail, Reason: event.ReasonOther},
			refresh: handler.Error{Action: event.ActionFail, Reason: event.ReasonOther},
		},
		{
			name: "deleted", state: deepimage.Deleted,
			verify:  handler.Error{Action: event.ActionFail, Cause: event.CauseDeleted, Reason: event.ReasonExpired},
			refresh: handler.Error{Action: event.ActionFail, Reason: event.ReasonExpired},
		},
		{
			name: "pending", state: deepimage.Pending,
			verify:  handler.Error{Action: event.ActionHold, Reason: event.ReasonOther},
			refresh: handler.Error{Action: event.ActionHold, Reason: event.ReasonOther},
		},
		{
			name: "complete without an address", state: deepimage.Pending, status: "complete",
			verify:  handler.Error{Action: event.ActionHold, Reason: event.ReasonNoResult},
			refresh: handler.Error{Action: event.ActionHold, Reason: event.ReasonNoResult},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v := vendor{jobStatus: deepimage.JobStatus{State: row.state, Status: row.status, ResultURL: address}}
			outcome, err := newVerify(v).Handle(t.Context(), event.Event{})
			check(t, "verify", err, row.verify)
			wantURL := address
			if row.verify.Action != "" {
				wantURL = ""
			}
			if outcome.VerifiedURL != wantURL {
				t.Errorf("verified URL = %q, want %q", outcome.VerifiedURL, wantURL)
			}
			_, err = verification.Refresh(v)(t.Context(), "job-1")
			check(t, "refresh", err, row.refresh)
			if failure := handler.Classify(err); failure != nil && failure.Action == event.ActionHold && failure.Delay <= 0 {
				t.Errorf("delay = %s, want more than 0", failure.Delay)
			}
		})
	}
}

// A job that the API does not know is not known yet, for a while. The lookups of an invented job are few.
func TestUnknownJobs(t *testing.T) {
	t.Parallel()
	deferred := handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonNotVerified}
	quarantined := handler.Error{Action: event.ActionQuarantine, Reason: event.ReasonNotVerified}
	rows := []struct {
		name    string
		age     time.Duration
		tracked bool
		err     error // of the store of tracked jobs
		recheck bool
		want    handler.Error
		most    time.Duration // longest pause
	}{
		{name: "A8 at once", want: deferred, most: 4 * time.Second},
		{name: "A8 after a minute", age: time.Minute, want: deferred, most: 61 * time.Second},
		{name: "A8 the last time in the grace", age: 119 * time.Second, want: deferred, most: time.Second},
		{name: "A8 after the grace", age: 2 * time.Minute, want: quarantined},
		{name: "A8 tracked job, after the grace", age: 2 * time.Minute, tracked: true, want: deferred, most: 5 * time.Minute},
		{name: "A8 tracked job, after hours", age: 20 * time.Hour, tracked: true, want: deferred, most: time.Hour},
		{name: "A8 tracked job, after a day", age: 24 * time.Hour, tracked: true, want: quarantined},
		{name: "A8 a person asks", tracked: true, recheck: true, want: quarantined},
		{
			name: "A8 the store is down", age: time.Hour, err: errors.New("down"),
			want: handler.Error{Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonStorage},
		},
		{name: "A8 the clock went back", age: -6 * time.Hour, want: deferred, most: 4 * time.Second},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				unknown := vendor{jobStatus: deepimage.JobStatus{State: deepimage.Unknown}}
				tracked := func(context.Context, string) (bool, error) { return row.tracked, row.err }
				e := event.Event{Job: "job-1", Attempt: 1, Received: time.Now().Add(-row.age), Recheck: row.recheck}
				_, err := verification.NewVerify(unknown, tracked, 2*time.Minute).Handle(t.Context(), e)
				check(t, "verify", err, row.want)
				if got := handler.Classify(err).Delay; got > row.most {
					t.Errorf("delay = %s, want at most %s", got, row.most)
				}
			})
		})
	}
}

// An invented job costs six lookups before its event is quarantined.
func TestLookupsOfAnInventedJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := event.Event{Job: "job-1", Received: time.Now()}
		verify := verification.NewVerify(vendor{jobStatus: deepimage.JobStatus{State: deepimage.Unknown}},
			func(context.Context, string) (bool, error) { return false, nil }, 2*time.Minute)
		for {
			e.Attempt++
			_, err := verify.Handle(t.Context(), e)
			failure := handler.Classify(err)
			if failure.Action == event.ActionQuarantine {
				break
			}
			time.Sleep(failure.Delay) //nolint:forbidigo // on the bubble's clock
		}
		if want, got := 2*time.Minute, time.Since(e.Received); e.Attempt > 6 || got != want {
			t.Errorf("quarantined after %d lookups and %s, want at most 6 and %s", e.Attempt, got, want)
		}
	})
}
