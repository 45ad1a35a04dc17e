package executor_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
)

// oneTry is a policy without a second attempt.
var oneTry = executor.Config{MaxAttempts: 1, MaxAge: time.Hour, MinDelay: time.Millisecond, MaxDelay: time.Millisecond}

// Steps are deferred any number of times at no cost and without warnings. When one attempt succeeds, all others resume
// before their time.
func TestDeferredStepsResumeTogether(t *testing.T) {
	t.Parallel()
	const events = 40
	var down atomic.Bool
	down.Store(true)
	var first atomic.Bool
	p := build(t, storetest.NewPlace(t, database.SQLite), oneTry, testkit.Timeout, []string{"forward"},
		func(context.Context, int, event.Event) (handler.Outcome, error) {
			if !down.Load() {
				return handler.Outcome{Detail: "204"}, nil
			}
			if first.CompareAndSwap(false, true) { // is due soon
				return handler.Outcome{}, handler.Defer(200*time.Millisecond, event.CauseNone, event.ReasonServerError, errors.New("down"))
			}
			return handler.Outcome{}, handler.Defer(time.Hour, event.CauseNone, event.ReasonServerError, errors.New("down"))
		})
	p.start(t)
	ids := make([]event.ID, events)
	for n := range ids {
		ids[n] = p.accept(t, fmt.Sprint("job-", n))
	}
	for _, id := range ids {
		p.await(t, id, event.Retrying)
	}
	down.Store(false)
	// The step that is due soon may have been deferred again; then this event shows that the target works.
	p.await(t, p.accept(t, "one more"), event.Done)
	for _, id := range ids {
		step := p.await(t, id, event.Done, event.Dead).Steps[0]
		if step.State != event.Done || step.Tries != 1 || len(step.Attempts) != 1 || step.Detail != "204" {
			t.Fatalf("step = %+v, want done, 1 try, 1 attempt, detail 204", step)
		}
	}
	if got := len(p.log.Records(t, "level", "warn")); got != 0 {
		t.Errorf("warnings = %d, want none:\n%s", got, p.log)
	}
}

// E5 and F7 of the list of faults: an outage of a bucket or a broker costs no attempt. It is one warning.
func TestOutageCostsNoAttempt(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	p := build(t, storetest.NewPlace(t, database.SQLite), oneTry, testkit.Timeout, []string{"download"},
		func(context.Context, int, event.Event) (handler.Outcome, error) {
			if down.Load() {
				return handler.Outcome{}, handler.Outage(event.ReasonStorage, errors.New("down"))
			}
			return handler.Outcome{}, nil
		})
	p.start(t)
	first, second := p.accept(t, "job-1"), p.accept(t, "job-2")
	for _, id := range []event.ID{first, second} {
		if step := p.await(t, id, event.Retrying, event.Dead).Steps[0]; step.State != event.Retrying || step.Reason != event.ReasonStorage {
			t.Fatalf("step = %+v, want retrying by storage", step)
		}
	}
	down.Store(false)
	for _, id := range []event.ID{first, second} {
		if step := p.await(t, id, event.Done, event.Dead).Steps[0]; step.State != event.Done || step.Tries != 1 {
			t.Errorf("step = %+v, want done after 1 try", step)
		}
	}
	if got := len(p.log.Records(t, "level", "warn")); got != 1 {
		t.Errorf("warnings = %d, want 1:\n%s", got, p.log)
	}
}

// A fault of one event is no outage: its attempts count while other events succeed.
func TestFaultOfOneEventIsNoOutage(t *testing.T) {
	t.Parallel()
	p := build(t, storetest.NewPlace(t, database.SQLite), oneTry, testkit.Timeout, []string{"download"},
		func(_ context.Context, _ int, e event.Event) (handler.Outcome, error) {
			if e.Job == "bad" {
				return handler.Outcome{}, handler.Outage(event.ReasonStorage, errors.New("answered 400"))
			}
			return handler.Outcome{}, nil
		})
	p.start(t)
	bad := p.accept(t, "bad")
	good := 0
	testkit.Eventually(t, "state of the event", event.Dead, func() event.Status {
		good++
		p.await(t, p.accept(t, fmt.Sprint("good-", good)), event.Done)
		details, err := p.work.History.Load(t.Context(), bad)
		if err != nil {
			t.Error(err)
		}
		return details.Event.State
	})
}

// A disabled target gets no requests until a person enables it.
func TestDisabledTarget(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		var gone atomic.Bool
		gone.Store(true)
		var attempts atomic.Int64
		p := build(t, place, oneTry, testkit.Timeout, []string{"download", "forward"},
			func(context.Context, int, event.Event) (handler.Outcome, error) { return handler.Outcome{}, nil },
			func(context.Context, int, event.Event) (handler.Outcome, error) {
				attempts.Add(1)
				if gone.Load() {
					return handler.Outcome{}, handler.Disable(event.ReasonOther, errors.New("answered 410 Gone"))
				}
				return handler.Outcome{}, nil
			})
		p.start(t)
		first := p.accept(t, "job-1")
		p.await(t, first, event.Retrying)
		second := p.accept(t, "job-2")
		p.await(t, second, event.Retrying)
		targets, err := p.work.Workflow.Targets(t.Context())
		if err != nil || len(targets) != 1 || targets[0].Name != "forward" || targets[0].Detail != "answered 410 Gone" || targets[0].Deferred != 2 {
			t.Errorf("targets = %+v, error = %v, want forward with 2 deferred steps", targets, err)
		}
		if attempts.Load() != 1 {
			t.Errorf("attempts = %d, want 1", attempts.Load())
		}
		gone.Store(false)
		enabled, err := p.work.Workflow.Enable(t.Context(), "forward")
		if err != nil || !enabled {
			t.Fatalf("Enable = %t, error = %v, want true", enabled, err)
		}
		for id, want := range map[event.ID]int{first: 2, second: 1} {
			step := p.await(t, id, event.Done, event.Dead).Steps[1]
			if step.State != event.Done || step.Tries != 1 || len(step.Attempts) != want {
				t.Errorf("step = %+v, want done, 1 try, %d attempts", step, want)
			}
		}
	})
}
