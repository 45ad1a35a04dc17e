package workflow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

func parkedFor(d time.Duration) workflow.Result {
	return workflow.Result{
		State: event.Retrying, Action: event.ActionDefer,
		Reason: event.ReasonServerError, Detail: "left alone", NextAt: time.Now().Add(d),
	}
}

func unpark(t *testing.T, s *workflowtest.Stores, handler string, all bool, limit, want int) {
	t.Helper()
	if n, err := s.Workflow.Resume(t.Context(), handler, all, limit); err != nil || n != want {
		t.Errorf("%d were given, want %d; error %v", n, want, err)
	}
}

func step(t *testing.T, s *workflowtest.Stores, n int) history.Step {
	t.Helper()
	h, err := s.History.Load(t.Context(), workflowtest.Entry(n).ID)
	if err != nil {
		t.Fatal(err)
	}
	return h.Steps[0]
}

// A parked step has no job and costs no attempt; when its time comes, or all are wanted, it gets one.
func TestParking(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2), workflowtest.Entry(3))
		for n := 1; n <= 3; n++ {
			s.Finish(t, s.Begin(t, n, "download"), parkedFor(time.Duration(n-1)*time.Hour))
		}
		targets, err := s.Workflow.Targets(t.Context())
		if err != nil || len(targets) != 1 || targets[0].Deferred != 3 || targets[0].Reason != event.ReasonServerError ||
			targets[0].Detail != "left alone" || targets[0].NextAt.IsZero() || targets[0].NextAt.After(time.Now()) {
			t.Errorf("targets %+v, error %v", targets, err)
		}
		got := step(t, s, 3)
		if got.State != event.Retrying || got.Tries != 0 || len(got.Attempts) != 0 || got.Detail != "left alone" || got.NextAt.Before(time.Now().Add(time.Hour)) {
			t.Errorf("parked as %+v", got)
		}
		if _, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(2).ID, Handler: "download"}); !errors.Is(err, workflow.ErrFinished) {
			t.Errorf("a job of before, for a parked step: %v", err)
		}
		unpark(t, s, "forward", true, 100, 0)
		unpark(t, s, "download", false, 100, 1) // the one whose time has come
		unpark(t, s, "download", false, 100, 0)
		if n := countJobs(t, db, "download"); n != 4 {
			t.Errorf("%d jobs, want one more than at first", n)
		}
		unpark(t, s, "download", true, 1, 0) // one waits for a worker already
		unpark(t, s, "download", true, 2, 1)
		if got := step(t, s, 2); got.State != event.Pending || !got.NextAt.IsZero() {
			t.Errorf("given as %+v", got)
		}
		a := s.Begin(t, 2, "download")
		if a.Tries != 1 || a.Number != 2 {
			t.Errorf("the attempt is %+v", a)
		}
		s.Finish(t, a, workflow.Result{State: event.Done})
		unpark(t, s, "download", true, 100, 1)
		unpark(t, s, "download", true, 100, 0)
	})
}

// The time that a step is parked is no part of its age; that of its attempts is.
func TestParkedStepsDoNotAge(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		s.Add(t, workflowtest.Entry(1))
		first := s.Begin(t, 1, "download")
		s.Finish(t, first, workflow.Result{State: event.Retrying, NextAt: time.Now()})
		s.Finish(t, s.Begin(t, 1, "download"), parkedFor(0))
		const hour = int64(time.Hour / time.Microsecond)
		// As if it had been tried an hour and parked for three.
		if _, err := db.Writer.ExecContext(t.Context(), "UPDATE steps SET since = since - $1, deferred_at = deferred_at - $2 WHERE handler = 'download'", 4*hour, 3*hour); err != nil {
			t.Fatal(err)
		}
		unpark(t, s, "download", false, 1, 1)
		if a := s.Begin(t, 1, "download"); a.Age < time.Hour || a.Age > time.Hour+time.Minute || a.Tries != 2 {
			t.Errorf("got %+v", a)
		}
	})
}

// While a target is disabled its steps are parked as they come; nobody else's are.
func TestDisabledTarget(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2))
		s.Finish(t, s.Begin(t, 1, "download"), parkedFor(0))
		for _, reason := range []event.Reason{event.ReasonOther, event.ReasonTimeout} {
			if err := s.Workflow.Disable(t.Context(), "download", reason, "410 \x00\xff"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Workflow.Disable(t.Context(), "other", event.ReasonAuth, "by hand"); err != nil {
			t.Fatal(err)
		}
		unpark(t, s, "download", true, 100, 0)
		if _, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(2).ID, Handler: "download"}); !errors.Is(err, workflow.ErrDeferred) {
			t.Errorf("a step of a disabled target begins: %v", err)
		}
		got := step(t, s, 2)
		if got.State != event.Retrying || got.Tries != 0 || len(got.Attempts) != 0 || got.Reason != event.ReasonOther || got.Detail != "410 \uFFFD\uFFFD" {
			t.Errorf("parked as %+v", got)
		}
		targets, err := s.Workflow.Targets(t.Context())
		if err != nil || len(targets) != 2 || targets[0].Name != "download" || targets[0].Deferred != 2 || targets[0].Disabled.IsZero() ||
			targets[0].Reason != event.ReasonOther || targets[1].Deferred != 0 || targets[1].Detail != "by hand" {
			t.Errorf("targets %+v, error %v", targets, err)
		}
		if mark, err := s.History.ChangeToken(t.Context()); err != nil || mark.Deferred != 2 || mark.Disabled != 2 {
			t.Errorf("mark %+v, error %v", mark, err)
		}
		for _, want := range []bool{true, false} {
			if was, err := s.Workflow.Enable(t.Context(), "download"); err != nil || was != want {
				t.Errorf("enabled: %t, want %t, error %v", was, want, err)
			}
		}
		unpark(t, s, "download", false, 100, 2)
		s.Begin(t, 1, "download")
		s.Begin(t, 2, "download")
	})
}

// An attempt disables its target in the transaction that records it; a stale one changes nothing.
func TestFinishDisablesTarget(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2))
		gone := workflow.Result{
			State: event.Retrying, Action: event.ActionDisable, Reason: event.ReasonOther, Detail: "410", NextAt: time.Now(),
		}
		stale := s.Begin(t, 1, "download")
		current := s.Begin(t, 1, "download")
		if _, err := s.Workflow.Finish(t.Context(), stale, gone); !errors.Is(err, workflow.ErrStale) {
			t.Errorf("stale attempt: error = %v, want %v", err, workflow.ErrStale)
		}
		if targets, err := s.Workflow.Targets(t.Context()); err != nil || len(targets) != 0 {
			t.Errorf("after a stale attempt: targets = %+v, error = %v, want none", targets, err)
		}
		s.Finish(t, current, gone)
		targets, err := s.Workflow.Targets(t.Context())
		if err != nil || len(targets) != 1 || targets[0].Disabled.IsZero() || targets[0].Deferred != 1 || targets[0].Detail != "410" {
			t.Errorf("targets = %+v, error = %v, want one that is disabled, with 1 deferred step and detail 410", targets, err)
		}
		if got := step(t, s, 1); got.State != event.Retrying || got.Tries != 1 || len(got.Attempts) != 2 {
			t.Errorf("step = %+v, want retrying, 1 try (of the stale attempt), 2 attempts", got)
		}
		if _, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(2).ID, Handler: "download"}); !errors.Is(err, workflow.ErrDeferred) {
			t.Errorf("another event: error = %v, want %v", err, workflow.ErrDeferred)
		}
	})
}

// The steps of a stage are told apart in the history, whatever the order of their attempts.
func TestHistoryOfStages(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		if _, err := s.Workflow.Add(t.Context(), workflowtest.Take(workflowtest.Entry(1)), [][]string{{"forward", "download"}}); err != nil {
			t.Fatal(err)
		}
		for _, handler := range []string{"forward", "download", "forward", "download"} {
			s.Finish(t, s.Begin(t, 1, handler), workflow.Result{State: event.Retrying, NextAt: time.Now()})
		}
		h, err := s.History.Load(t.Context(), workflowtest.Entry(1).ID)
		if err != nil || len(h.Steps) != 2 || len(h.Steps[0].Attempts) != 2 || len(h.Steps[1].Attempts) != 2 {
			t.Errorf("got %+v, error %v", h, err)
		}
	})
}

// Parked steps of a handler that is not configured any more are told of too.
func TestParkedStepsCanBeUnattended(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2))
		s.Finish(t, s.Begin(t, 1, "download"), parkedFor(time.Hour))
		counts, err := s.Workflow.Unattended(t.Context(), []string{"forward"})
		if err != nil || len(counts) != 1 || counts["download"] != 2 {
			t.Errorf("%v, error %v", counts, err)
		}
	})
}
