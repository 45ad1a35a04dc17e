package workflow_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// run makes an attempt of a step and records how it ended.
func run(t *testing.T, s *workflowtest.Stores, id event.ID, handler string, result workflow.Result) {
	t.Helper()
	attempt, err := s.Workflow.Begin(t.Context(), queue.Job{Event: id, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Workflow.Finish(t.Context(), attempt, result); err != nil {
		t.Fatal(err)
	}
}

func statesOf(t *testing.T, s *workflowtest.Stores, id event.ID) string {
	t.Helper()
	h, err := s.History.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text := string(h.Event.State)
	for _, step := range h.Steps {
		text += " " + string(step.State)
	}
	return text
}

func TestReplay(t *testing.T) {
	t.Parallel()
	dead := workflow.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"}
	done := workflow.Result{State: event.Done}
	rows := []struct {
		name           string
		first, second  *workflow.Result // how the steps ended; nil for not begun
		what           workflow.Replay
		steps          int
		want           string // states of the event and its steps
		download, next int    // jobs there ever were
	}{
		{"dead", &dead, nil, workflow.Replay{}, 1, "pending pending waiting", 2, 0},
		{"dead, after new work", &dead, nil, workflow.Replay{Late: true}, 1, "pending pending waiting", 2, 0},
		{"dead, another handler", &dead, nil, workflow.Replay{Handler: "forward"}, 0, "dead dead waiting", 1, 0},
		{"second is dead", &done, &dead, workflow.Replay{}, 1, "pending done pending", 1, 2},
		{"second is dead, by its name", &done, &dead, workflow.Replay{Handler: "forward"}, 1, "pending done pending", 1, 2},
		{"second is dead, the first by its name", &done, &dead, workflow.Replay{Handler: "download"}, 0, "dead done dead", 1, 1},
		{"done", &done, &done, workflow.Replay{}, 0, "done done done", 1, 1},
		{"done, all again", &done, &done, workflow.Replay{Finished: true}, 2, "pending pending waiting", 2, 1},
		{"done, the first again", &done, &done, workflow.Replay{Handler: "download", Finished: true}, 1, "pending pending done", 2, 1},
		{"pending", nil, nil, workflow.Replay{Finished: true}, 0, "pending pending waiting", 1, 0},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		before := map[string]int{"download": 0, "forward": 0}
		for n, row := range rows {
			a := workflowtest.Entry(n)
			s.Add(t, a)
			if row.first != nil {
				run(t, s, a.ID, "download", *row.first)
			}
			if row.second != nil {
				run(t, s, a.ID, "forward", *row.second)
			}
			steps, err := s.Workflow.Replay(t.Context(), a.ID, row.what)
			if err != nil || steps != row.steps || statesOf(t, s, a.ID) != row.want {
				t.Errorf("%s: %d steps, states %q, want %d and %q: %v", row.name, steps, statesOf(t, s, a.ID), row.steps, row.want, err)
			}
			if again, err := s.Workflow.Replay(t.Context(), a.ID, row.what); again != 0 || err != nil {
				t.Errorf("%s: replayed again: %d steps, %v", row.name, again, err)
			}
			for handler, want := range map[string]int{"download": row.download, "forward": row.next} {
				if got := countJobs(t, db, handler); got-before[handler] != want {
					t.Errorf("%s: %d jobs for %s, want %d", row.name, got-before[handler], handler, want)
				}
				before[handler] = countJobs(t, db, handler)
			}
		}
	})
}

// A replayed step begins anew, with its past kept; who is late changes nothing.
func TestReplayKeepsTheHistory(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		a := workflowtest.Entry(1)
		s.Add(t, a)
		run(t, s, a.ID, "download", workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()})
		run(t, s, a.ID, "download", workflow.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"})
		replayed := 0
		var mutex sync.Mutex
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				steps, err := s.Workflow.Replay(t.Context(), a.ID, workflow.Replay{})
				if err != nil {
					t.Error(err)
				}
				mutex.Lock()
				defer mutex.Unlock()
				replayed += steps
			})
		}
		group.Wait()
		if replayed != 1 {
			t.Errorf("%d steps were replayed by eight at once", replayed)
		}
		attempt, err := s.Workflow.Begin(t.Context(), queue.Job{Event: a.ID, Handler: "download"})
		if err != nil || attempt.Number != 3 || attempt.Tries != 1 || attempt.Age > time.Minute {
			t.Errorf("attempt %+v, error %v", attempt, err)
		}
		if _, err := s.Workflow.Finish(t.Context(), attempt, workflow.Result{State: event.Done}); err != nil {
			t.Fatal(err)
		}
		h, err := s.History.Load(t.Context(), a.ID)
		if err != nil || len(h.Steps[0].Attempts) != 3 || h.Steps[0].Attempts[1].Detail != "gone" || h.Steps[0].Reason != "" {
			t.Errorf("history %+v, error %v", h.Steps, err)
		}
		if _, err := s.Workflow.Replay(t.Context(), "no such", workflow.Replay{}); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("an event that does not exist: %v", err)
		}
	})
}
