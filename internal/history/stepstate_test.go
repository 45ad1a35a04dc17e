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

// With a handler, a filter matches the state of its step, not that of the event.
func TestFilterByStepState(t *testing.T) {
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
		{name: "all of a handler", filter: history.Filter{Handler: "forward"}, want: "543210", dead: 1},
		{name: "unknown handler", filter: history.Filter{Handler: "unknown"}, want: ""},
		{name: "retrying beside a dead one", filter: history.Filter{Handler: "forward", State: event.Retrying}, want: "0"},
		{name: "pending beside a dead one", filter: history.Filter{Handler: "forward", State: event.Pending}, want: "1"},
		{name: "running beside a dead one", filter: history.Filter{Handler: "forward", State: event.Running}, want: "2"},
		{name: "dead", filter: history.Filter{Handler: "forward", State: event.Dead}, want: "3", dead: 1},
		{name: "done beside any", filter: history.Filter{Handler: "forward", State: event.Done}, want: "54"},
		{name: "done beside a dead one", filter: history.Filter{Handler: "download", State: event.Done}, want: "43"},
		{name: "retrying beside a done one", filter: history.Filter{Handler: "download", State: event.Retrying}, want: "5"},
		{name: "the reason of another", filter: history.Filter{Handler: "forward", Reason: event.ReasonExpired}, want: ""},
		{name: "a reason that is not dead", filter: history.Filter{Handler: "forward", Reason: event.ReasonTimeout}, want: "0"},
		{name: "a reason", filter: history.Filter{Handler: "download", Reason: event.ReasonExpired}, want: "210", dead: 3},
		{name: "by job", filter: history.Filter{Handler: "forward", State: event.Retrying, Job: "job-0"}, want: "0"},
		{name: "by the beginning of the job", filter: history.Filter{Handler: "forward", State: event.Retrying, Prefix: "job-"}, want: "0"},
		{name: "events", filter: history.Filter{State: event.Dead}, want: "3210", dead: 4},
	}
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
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
				t.Errorf("%s: CountDead = %d, error %v; want %d", row.name, n, err, row.dead)
			}
		}
		lines, err := s.History.Find(t.Context(), history.Filter{Handler: "forward", State: event.Retrying}, "", 1)
		if err != nil || len(lines) != 1 || lines[0].State != event.Dead || lines[0].Reason != event.ReasonTimeout {
			t.Errorf("items = %+v, error %v; want one dead event with the reason %s", lines, err, event.ReasonTimeout)
		}
		counts, err := s.History.StepCounts(t.Context())
		if got := counts["forward"]; err != nil || got == nil || got.Pending != 1 || got.Running != 1 || got.Retrying != 1 || got.Dead != 1 {
			t.Errorf("step counts = %+v, error %v; want 1 pending, running, retrying and dead each", got, err)
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

// Oldest counts open steps of events that have a dead step.
func TestOldestBesideADeadStep(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]workflow.Result{
		"pending": {State: event.Pending}, "running": {State: event.Running},
		"retrying": {State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now().Add(time.Hour)}, "deferred": deferredFor(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				first, second := workflowtest.Entry(1), workflowtest.Entry(2)
				second.Received = first.Received.Add(time.Minute)
				if _, err := s.Workflow.Add(t.Context(), workflowtest.Take(first, second), [][]string{{"download", "forward"}}); err != nil {
					t.Fatal(err)
				}
				bring(t, s, 1, "download", workflow.Result{State: event.Dead, Reason: event.ReasonExpired})
				bring(t, s, 1, "forward", other)
				if oldest, err := s.History.Oldest(t.Context()); err != nil || !oldest.Equal(first.Received) {
					t.Errorf("Oldest = %v, error %v; want %v", oldest, err, first.Received)
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
