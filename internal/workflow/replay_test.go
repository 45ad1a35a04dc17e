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

// run begins and finishes an attempt of a step.
func run(t *testing.T, s *workflowtest.Stores, id event.ID, handler string, result workflow.Result) {
	t.Helper()
	attempt, err := s.Workflow.Begin(t.Context(), queue.Job{Event: id, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	s.Finish(t, attempt, result)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	dead := workflow.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"}
	done := workflow.Result{State: event.Done}
	rows := []struct {
		name              string
		first, second     *workflow.Result // of the steps; nil if not begun
		what              workflow.Replay
		steps             int
		want              string // states of the event and its steps
		download, forward int    // queue jobs that were inserted
	}{
		{name: "dead", first: &dead, steps: 1, want: "pending pending waiting", download: 2},
		{name: "dead, after new work", first: &dead, what: workflow.Replay{Late: true}, steps: 1, want: "pending pending waiting", download: 2},
		{name: "dead, another handler", first: &dead, what: workflow.Replay{Handler: "forward"}, want: "dead dead waiting", download: 1},
		{name: "second is dead", first: &done, second: &dead, steps: 1, want: "pending done pending", download: 1, forward: 2},
		{name: "second is dead, by its name", first: &done, second: &dead, what: workflow.Replay{Handler: "forward"}, steps: 1, want: "pending done pending", download: 1, forward: 2},
		{name: "second is dead, the first by its name", first: &done, second: &dead, what: workflow.Replay{Handler: "download"}, want: "dead done dead", download: 1, forward: 1},
		{name: "done", first: &done, second: &done, want: "done done done", download: 1, forward: 1},
		{name: "done, all again", first: &done, second: &done, what: workflow.Replay{Finished: true}, steps: 2, want: "pending pending waiting", download: 2, forward: 1},
		{name: "done, the first again", first: &done, second: &done, what: workflow.Replay{Handler: "download", Finished: true}, steps: 1, want: "pending pending done", download: 2, forward: 1},
		{name: "pending", what: workflow.Replay{Finished: true}, want: "pending pending waiting", download: 1},
	}
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
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
			if err != nil || steps != row.steps || states(t, s, n) != row.want {
				t.Errorf("%s: %d steps, states %q, error %v; want %d and %q", row.name, steps, states(t, s, n), err, row.steps, row.want)
			}
			if again, err := s.Workflow.Replay(t.Context(), a.ID, row.what); again != 0 || err != nil {
				t.Errorf("%s: second replay = %d steps, error %v; want 0", row.name, again, err)
			}
			for handler, want := range map[string]int{"download": row.download, "forward": row.forward} {
				if got := countJobs(t, db, handler); got-before[handler] != want {
					t.Errorf("%s: %d queue jobs for %s, want %d", row.name, got-before[handler], handler, want)
				}
				before[handler] = countJobs(t, db, handler)
			}
		}
	})
}

// A replayed step begins anew and keeps its history. Of concurrent replays, one has an effect.
func TestReplayKeepsTheHistory(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
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
			t.Errorf("eight concurrent replays reset %d steps, want 1", replayed)
		}
		attempt, err := s.Workflow.Begin(t.Context(), queue.Job{Event: a.ID, Handler: "download"})
		if err != nil || attempt.Number != 3 || attempt.Tries != 1 || attempt.Age > time.Minute {
			t.Errorf("attempt = %+v, error %v; want number 3, 1 try and a new age", attempt, err)
		}
		if _, err := s.Workflow.Finish(t.Context(), attempt, workflow.Result{State: event.Done}); err != nil {
			t.Fatal(err)
		}
		h, err := s.History.Load(t.Context(), a.ID)
		if err != nil || len(h.Steps[0].Attempts) != 3 || h.Steps[0].Attempts[1].Detail != "gone" || h.Steps[0].Reason != "" {
			t.Errorf("steps = %+v, error %v; want 3 attempts, the second with its detail, and no reason", h.Steps, err)
		}
		if _, err := s.Workflow.Replay(t.Context(), "no such", workflow.Replay{}); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("Replay of an unknown event: error = %v, want ErrNotFound", err)
		}
	})
}
