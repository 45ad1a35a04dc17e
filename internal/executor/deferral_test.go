package executor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// oneTry is a policy by which a step is dead that counts a second attempt, or any time.
var oneTry = executor.Config{MaxAttempts: 1, MaxAge: time.Hour, MinDelay: time.Millisecond, MaxDelay: time.Millisecond}

// Steps are parked as often as it takes, without attempts and noise. As soon as one shows that
// the other side is back, all others come too, long before their time.
func TestParkedStepsComeBackTogether(t *testing.T) {
	t.Parallel()
	const events = 40
	var down atomic.Bool
	down.Store(true)
	var first atomic.Bool
	h := build(t, databasetest.NewPlace(t, database.SQLite), oneTry, patience, []string{"forward"},
		func(context.Context, int, event.Event) (handler.Outcome, error) {
			if !down.Load() {
				return handler.Outcome{Detail: "204"}, nil
			}
			if first.CompareAndSwap(false, true) { // the one that looks again soon
				return handler.Outcome{}, handler.Defer(200*time.Millisecond, event.CauseNone, event.ReasonServerError, errors.New("left alone"))
			}
			return handler.Outcome{}, handler.Defer(time.Hour, event.CauseNone, event.ReasonServerError, errors.New("left alone"))
		})
	h.start(t)
	ids := make([]event.ID, events)
	for n := range ids {
		ids[n] = h.accept(t, fmt.Sprint("job-", n))
	}
	for _, id := range ids {
		h.settled(t, id, event.Retrying)
	}
	down.Store(false)
	// The one that looks again may have been parked for the second time, then a new event shows it.
	h.settled(t, h.accept(t, "one more"), event.Done)
	for _, id := range ids {
		step := h.settled(t, id, event.Done, event.Dead).Steps[0]
		if step.State != event.Done || step.Tries != 1 || len(step.Attempts) != 1 || step.Detail != "204" {
			t.Fatalf("got %+v", step)
		}
	}
	if strings.Contains(h.log.String(), `"level":"warn"`) {
		t.Errorf("parking makes noise:\n%s", h.log)
	}
}

// A target that wants nothing more gets nothing more, until a person enables it.
func TestDisabledTargetGetsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		var gone atomic.Bool
		gone.Store(true)
		var attempts atomic.Int64
		h := build(t, place, oneTry, patience, []string{"download", "forward"},
			func(context.Context, int, event.Event) (handler.Outcome, error) { return handler.Outcome{}, nil },
			func(context.Context, int, event.Event) (handler.Outcome, error) {
				attempts.Add(1)
				if gone.Load() {
					return handler.Outcome{}, handler.Disable(event.ReasonOther, errors.New("answered 410 Gone"))
				}
				return handler.Outcome{}, nil
			})
		h.start(t)
		first := h.accept(t, "job-1")
		h.settled(t, first, event.Retrying)
		second := h.accept(t, "job-2")
		h.settled(t, second, event.Retrying)
		targets, err := h.work.Workflow.Targets(t.Context())
		if err != nil || len(targets) != 1 || targets[0].Name != "forward" || targets[0].Detail != "answered 410 Gone" || targets[0].Deferred != 2 {
			t.Errorf("targets %+v, error %v", targets, err)
		}
		if attempts.Load() != 1 {
			t.Errorf("%d attempts at a target that is gone", attempts.Load())
		}
		gone.Store(false)
		enabled, err := h.work.Workflow.Enable(t.Context(), "forward")
		if err != nil || !enabled {
			t.Fatal(err)
		}
		for id, want := range map[event.ID]int{first: 2, second: 1} {
			step := h.settled(t, id, event.Done, event.Dead).Steps[1]
			if step.State != event.Done || step.Tries != 1 || len(step.Attempts) != want {
				t.Errorf("got %+v", step)
			}
		}
	})
}
