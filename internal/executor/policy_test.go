package executor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/google/go-cmp/cmp"
)

// Every action, what it costs, and when a step is given up.
func TestDecide(t *testing.T) {
	t.Parallel()
	config := executor.Config{MaxAttempts: 3, MaxAge: time.Hour, MinDelay: 10 * time.Second, MaxDelay: 10 * time.Minute}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	broken := errors.New("broken")
	artifacts := []event.Artifact{{Key: "a.png"}}
	rows := []struct {
		name    string
		number  int // of the attempt; that of tries if 0
		tries   int // 1 if 0
		age     time.Duration
		outcome handler.Outcome
		err     error
		want    workflow.Result // Detail is compared only where err is nil
	}{
		{
			name: "done", outcome: handler.Outcome{Artifacts: artifacts, Detail: "204", ResultURL: "https://host/a.png"},
			want: workflow.Result{State: event.Done, Artifacts: artifacts, Detail: "204", ResultURL: "https://host/a.png"},
		},
		{
			name: "verified", outcome: handler.Outcome{VerifiedURL: "https://host/a.png"},
			want: workflow.Result{State: event.Done, VerifiedURL: "https://host/a.png"},
		},
		{name: "skipped", outcome: handler.Outcome{Skipped: true}, want: workflow.Result{State: event.Skipped}},
		{
			name: "unclassified error", err: broken,
			want: workflow.Result{State: event.Retrying, Action: event.ActionRetry, Reason: event.ReasonOther, NextAt: now.Add(5 * time.Second)},
		},
		{
			name: "retry keeps artifacts", outcome: handler.Outcome{Artifacts: artifacts}, err: handler.Retry(event.ReasonTruncated, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionRetry, Reason: event.ReasonTruncated, NextAt: now.Add(5 * time.Second), Artifacts: artifacts},
		},
		{
			name: "retry after a requested delay", err: handler.RetryAfter(time.Minute, event.ReasonRateLimited, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionRetry, Reason: event.ReasonRateLimited, NextAt: now.Add(time.Minute)},
		},
		{
			name: "second retry doubles", tries: 2, err: handler.Retry(event.ReasonServerError, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionRetry, Reason: event.ReasonServerError, NextAt: now.Add(10 * time.Second)},
		},
		{
			name: "retry: too many attempts", tries: 3, err: handler.Retry(event.ReasonServerError, broken),
			want: workflow.Result{State: event.Dead, Action: event.ActionFail, Reason: event.ReasonServerError},
		},
		{
			name: "retry: too old", age: time.Hour - 4*time.Second, err: handler.Retry(event.ReasonServerError, broken),
			want: workflow.Result{State: event.Dead, Action: event.ActionFail, Reason: event.ReasonServerError},
		},
		{
			name: "hold does not count attempts", tries: 1000, err: handler.Hold(20*time.Second, event.ReasonNoResult, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionHold, Reason: event.ReasonNoResult, NextAt: now.Add(20 * time.Second)},
		},
		{
			name: "hold grows with age", age: 20 * time.Minute, err: handler.Hold(20*time.Second, event.ReasonNoResult, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionHold, Reason: event.ReasonNoResult, NextAt: now.Add(5 * time.Minute)},
		},
		{
			name: "hold: too old", age: time.Hour, err: handler.Hold(time.Second, event.ReasonNoResult, broken),
			want: workflow.Result{State: event.Dead, Action: event.ActionFail, Reason: event.ReasonNoResult},
		},
		{
			name: "defer", tries: 1000, age: 1000 * time.Hour, err: handler.Defer(time.Minute, event.CauseNone, event.ReasonServerError, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionDefer, Reason: event.ReasonServerError, NextAt: now.Add(time.Minute)},
		},
		{
			name: "defer for an outage", tries: 1000, err: handler.Defer(time.Minute, event.CauseOutage, event.ReasonServerError, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonServerError, NextAt: now.Add(time.Minute)},
		},
		{
			name: "defer this step alone", tries: 1000, err: handler.Defer(time.Minute, event.CauseStep, event.ReasonRateLimited, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonRateLimited, NextAt: now.Add(time.Minute)},
		},
		{
			name: "defer is bounded", err: handler.Defer(1000*time.Hour, event.CauseNone, event.ReasonServerError, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionDefer, Reason: event.ReasonServerError, NextAt: now.Add(24 * time.Hour)},
		},
		{
			name: "E5: outage, first time", number: 1, tries: 1, err: handler.Outage(event.ReasonStorage, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonStorage, NextAt: now.Add(time.Second)},
		},
		{
			name: "E5: outage for days", number: 1000, tries: 20, age: 1000 * time.Hour, err: handler.Outage(event.ReasonStorage, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonStorage, NextAt: now.Add(150 * time.Second)},
		},
		{
			name: "defer for a negative delay", err: handler.Defer(-time.Hour, event.CauseNone, event.ReasonServerError, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionDefer, Reason: event.ReasonServerError, NextAt: now},
		},
		{
			name: "A8 quarantine", err: handler.Quarantine(event.ReasonNotVerified, broken),
			want: workflow.Result{State: event.Quarantined, Action: event.ActionQuarantine, Reason: event.ReasonNotVerified, NextAt: now.Add(5 * time.Minute)},
		},
		{
			name: "A8 quarantine, rechecked", age: 6 * time.Hour, err: handler.Quarantine(event.ReasonNotVerified, broken),
			want: workflow.Result{State: event.Quarantined, Action: event.ActionQuarantine, Reason: event.ReasonNotVerified, NextAt: now.Add(12 * time.Hour)},
		},
		{
			name: "A8 quarantine, after a day", age: 24 * time.Hour, err: handler.Quarantine(event.ReasonNotVerified, broken),
			want: workflow.Result{State: event.Quarantined, Action: event.ActionQuarantine, Reason: event.ReasonNotVerified},
		},
		{name: "fail", err: handler.Fail(event.ReasonTooLarge, broken), want: workflow.Result{State: event.Dead, Action: event.ActionFail, Reason: event.ReasonTooLarge}},
		{name: "deleted at the vendor", err: handler.FailDeleted(event.ReasonExpired, broken), want: workflow.Result{State: event.Dead, Action: event.ActionFail, Cause: event.CauseDeleted, Reason: event.ReasonExpired}},
		{
			name: "disable", tries: 1000, err: handler.Disable(event.ReasonOther, broken),
			want: workflow.Result{State: event.Retrying, Action: event.ActionDisable, Reason: event.ReasonOther, NextAt: now},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			attempt := workflow.Attempt{Number: max(row.number, row.tries, 1), Tries: max(row.tries, 1), Age: row.age}
			got := executor.Decide(config, attempt, row.outcome, row.err, now, 0)
			if row.err != nil {
				if got.Detail == "" {
					t.Error(`detail = "", want the text of the error`)
				}
				got.Detail = ""
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	config := executor.Config{MinDelay: time.Second, MaxDelay: time.Minute}
	rows := []struct {
		name      string
		attempts  int
		requested time.Duration
		min, max  time.Duration // with the random number 0 and with nearly 1
	}{
		{name: "first", attempts: 1, min: 500 * time.Millisecond, max: time.Second},
		{name: "doubles", attempts: 3, min: 2 * time.Second, max: 4 * time.Second},
		{name: "capped", attempts: 20, min: 30 * time.Second, max: time.Minute},
		{name: "does not overflow", attempts: 1000, min: 30 * time.Second, max: time.Minute},
		{name: "requested more", attempts: 1, requested: 10 * time.Second, min: 10 * time.Second, max: 11 * time.Second},
		{name: "requested less", attempts: 20, requested: time.Second, min: 30 * time.Second, max: time.Minute},
		{name: "requested too much", attempts: 1, requested: 24 * time.Hour, min: time.Minute, max: 54 * time.Second},
	}
	for _, row := range rows {
		for random, want := range map[float64]time.Duration{0: row.min, 1: row.max} {
			if got := config.Backoff(row.attempts, row.requested, random); got != want {
				t.Errorf("%s: backoff = %s with random = %v, want %s", row.name, got, random, want)
			}
		}
	}
}

// No policy within its ranges has a delay outside its bounds.
func TestBackoffNeverOverflows(t *testing.T) {
	t.Parallel()
	for _, config := range []executor.Config{
		{MinDelay: 10 * time.Millisecond, MaxDelay: 24 * time.Hour},
		{MinDelay: time.Minute, MaxDelay: 24 * time.Hour},
		{MinDelay: time.Hour, MaxDelay: time.Hour},
	} {
		for attempts := range 1001 {
			for _, random := range []float64{0, 0.999} {
				if got := config.Backoff(attempts, 0, random); got < config.MinDelay/2 || got > config.MaxDelay {
					t.Fatalf("backoff = %s after %d attempts, want %s to %s", got, attempts, config.MinDelay/2, config.MaxDelay)
				}
			}
		}
	}
}

// An invented job costs seven lookups on the day after its quarantine began.
func TestRechecksOfADay(t *testing.T) {
	t.Parallel()
	for _, random := range []float64{0, 0.999} {
		now := time.Now()
		rechecks, age := 0, time.Duration(0)
		for {
			got := executor.Decide(executor.Config{}, workflow.Attempt{Number: 1, Tries: 1, Age: age}, handler.Outcome{},
				handler.Quarantine(event.ReasonNotVerified, errors.New("unknown")), now, random)
			if got.NextAt.IsZero() {
				break
			}
			age += got.NextAt.Sub(now)
			rechecks++
		}
		if want := 24 * time.Hour; rechecks < 5 || rechecks > 7 || age != want {
			t.Errorf("%d rechecks in %s, want 5 to 7 in %s", rechecks, age, want)
		}
	}
}
