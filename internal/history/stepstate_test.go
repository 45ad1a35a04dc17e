package history_test

import (
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// An event with one step that is dead and another that still goes on is dead. Whoever asks for a handler is told of its steps.
func TestStatesOfTheStepsOfAHandler(t *testing.T) {
	t.Parallel()
	expired, auth := workflow.Result{State: event.Dead, Reason: event.ReasonExpired}, workflow.Result{State: event.Dead, Reason: event.ReasonAuth}
	retrying := workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()}
	done, running, pending := workflow.Result{State: event.Done}, workflow.Result{State: event.Running}, workflow.Result{State: event.Pending}
	events := []struct{ download, forward workflow.Result }{
		{expired, retrying}, {expired, pending}, {expired, running}, {done, auth}, {done, done}, {retrying, done},
	}
	rows := []struct {
		name   string
		filter history.Filter
		want   string
		dead   int
	}{
		{"all of a handler", history.Filter{Handler: "forward"}, "543210", 1},
		{"of nobody", history.Filter{Handler: "nobody"}, "", 0},
		{"retrying beside a dead one", history.Filter{Handler: "forward", State: event.Retrying}, "0", 0},
		{"pending beside a dead one", history.Filter{Handler: "forward", State: event.Pending}, "1", 0},
		{"running beside a dead one", history.Filter{Handler: "forward", State: event.Running}, "2", 0},
		{"dead", history.Filter{Handler: "forward", State: event.Dead}, "3", 1},
		{"done beside any", history.Filter{Handler: "forward", State: event.Done}, "54", 0},
		{"done beside a dead one", history.Filter{Handler: "download", State: event.Done}, "43", 0},
		{"retrying beside a done one", history.Filter{Handler: "download", State: event.Retrying}, "5", 0},
		{"the reason of another", history.Filter{Handler: "forward", Reason: event.ReasonExpired}, "", 0},
		{"a reason that is not dead", history.Filter{Handler: "forward", Reason: event.ReasonTimeout}, "0", 0},
		{"a reason", history.Filter{Handler: "download", Reason: event.ReasonExpired}, "210", 3},
		{"by job", history.Filter{Handler: "forward", State: event.Retrying, Job: "job-0"}, "0", 0},
		{"by the beginning of the job", history.Filter{Handler: "forward", State: event.Retrying, Begins: "job-"}, "0", 0},
		{"events", history.Filter{State: event.Dead}, "3210", 4},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		for n, e := range events {
			if _, err := s.Workflow.Add(t.Context(), workflowtest.Take(workflowtest.Entry(n)), [][]string{{"download", "forward"}}); err != nil {
				t.Fatal(err)
			}
			bring(t, s, n, "download", e.download)
			bring(t, s, n, "forward", e.forward)
		}
		for _, row := range rows {
			got := ""
			findAll(t, s, row.filter, func(id event.ID) { got += string(id[len(id)-1]) })
			if got != row.want {
				t.Errorf("%s: got %q, want %q", row.name, got, row.want)
			}
			if n, err := s.History.CountDead(t.Context(), row.filter, 100); n != row.dead || err != nil {
				t.Errorf("%s: %d are dead, want %d, error %v", row.name, n, row.dead, err)
			}
		}
		lines, err := s.History.Find(t.Context(), history.Filter{Handler: "forward", State: event.Retrying}, "", 1)
		if err != nil || len(lines) != 1 || lines[0].State != event.Dead || lines[0].Failure.Reason != event.ReasonTimeout {
			t.Errorf("it is told of %+v, error %v", lines, err)
		}
		tallies, err := s.History.StepCounts(t.Context())
		if got := tallies["forward"]; err != nil || got == nil || got.Pending != 1 || got.Running != 1 || got.Retrying != 1 || got.Dead != 1 {
			t.Errorf("tally %+v, error %v", got, err)
		}
	})
}

// bring brings a step into a state.
func bring(t *testing.T, s *workflowtest.Stores, n int, handler string, to workflow.Result) {
	t.Helper()
	if to.State == event.Pending {
		return
	}
	if attempt := s.Begin(t, n, handler); to.State != event.Running {
		s.Finish(t, attempt, to)
	}
}

// What goes on beside a dead step waits as all else does.
func TestOldestBesideADeadStep(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]workflow.Result{
		"pending": {State: event.Pending}, "running": {State: event.Running},
		"retrying": {State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now().Add(time.Hour)}, "parked": deferredFor(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				first, second := workflowtest.Entry(1), workflowtest.Entry(2)
				second.Received = first.Received.Add(time.Minute)
				if _, err := s.Workflow.Add(t.Context(), workflowtest.Take(first, second), [][]string{{"download", "forward"}}); err != nil {
					t.Fatal(err)
				}
				bring(t, s, 1, "download", workflow.Result{State: event.Dead, Reason: event.ReasonExpired})
				bring(t, s, 1, "forward", other)
				if oldest, err := s.History.Oldest(t.Context()); err != nil || !oldest.Equal(first.Received) {
					t.Errorf("the oldest is of %v, want %v, error %v", oldest, first.Received, err)
				}
			})
		})
	}
}

func deferredFor(d time.Duration) workflow.Result {
	return workflow.Result{
		State: event.Retrying, Action: event.ActionDefer,
		Reason: event.ReasonServerError, Detail: "not reachable", NextAt: time.Now().Add(d),
	}
}
