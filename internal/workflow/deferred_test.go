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

func deferredFor(d time.Duration) workflow.Result {
	return workflow.Result{
		State: event.Retrying, Action: event.ActionDefer,
		Reason: event.ReasonServerError, Detail: "not reachable", NextAt: time.Now().Add(d),
	}
}

func resume(t *testing.T, s *workflowtest.Stores, handler string, all bool, limit, want int) {
	t.Helper()
	if n, err := s.Workflow.Resume(t.Context(), handler, all, limit); err != nil || n != want {
		t.Errorf("Resume of %s = %d, error %v; want %d", handler, n, err, want)
	}
}

// step returns the first step of event n.
func step(t *testing.T, s *workflowtest.Stores, n int) history.Step {
	t.Helper()
	return s.Load(t, workflowtest.Entry(n).ID).Steps[0]
}

// A deferred step has no queue job and costs no attempt. Resume inserts a job when it is due, or for all.
func TestDefer(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2), workflowtest.Entry(3))
		for n := 1; n <= 3; n++ {
			s.Finish(t, s.Begin(t, n, "download"), deferredFor(time.Duration(n-1)*time.Hour))
		}
		targets, err := s.Workflow.Targets(t.Context())
		if err != nil || len(targets) != 1 || targets[0].Deferred != 3 || targets[0].Reason != event.ReasonServerError ||
			targets[0].Detail != "not reachable" || targets[0].NextAt.IsZero() || targets[0].NextAt.After(time.Now()) {
			t.Errorf("targets = %+v, error %v; want one with 3 deferred steps, of which one is due", targets, err)
		}
		got := step(t, s, 3)
		if got.State != event.Retrying || got.Tries != 0 || len(got.Attempts) != 0 || got.Detail != "not reachable" || got.NextAt.Before(time.Now().Add(time.Hour)) {
			t.Errorf("deferred step = %+v, want it retrying in more than an hour, with its detail, without tries and attempts", got)
		}
		if _, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(2).ID, Handler: "download"}); !errors.Is(err, workflow.ErrFinished) {
			t.Errorf("Begin of a deferred step: error = %v, want ErrFinished", err)
		}
		resume(t, s, "forward", true, 100, 0)
		resume(t, s, "download", false, 100, 1) // the one that is due
		resume(t, s, "download", false, 100, 0)
		checkJobs(t, s, "download", 4)       // one more than at first
		resume(t, s, "download", true, 1, 0) // one waits for a worker already
		resume(t, s, "download", true, 2, 1)
		if got := step(t, s, 2); got.State != event.Pending || !got.NextAt.IsZero() {
			t.Errorf("resumed step = %+v, want it pending without a next time", got)
		}
		a := s.Begin(t, 2, "download")
		if a.Tries != 1 || a.Number != 2 {
			t.Errorf("attempt = %+v, want number 2 with 1 try", a)
		}
		s.Finish(t, a, workflow.Result{State: event.Done})
		resume(t, s, "download", true, 100, 1)
		resume(t, s, "download", true, 100, 0)
	})
}

// The time for which a step is deferred does not count as age; that of its attempts does.
func TestDeferredStepsDoNotAge(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		s.Add(t, workflowtest.Entry(1))
		first := s.Begin(t, 1, "download")
		s.Finish(t, first, workflow.Result{State: event.Retrying, NextAt: time.Now()})
		s.Finish(t, s.Begin(t, 1, "download"), deferredFor(0))
		const hour = int64(time.Hour / time.Microsecond)
		// As if it had been tried for an hour and then deferred for three.
		if _, err := db.Writer.ExecContext(t.Context(), "UPDATE steps SET since = since - $1, deferred_at = deferred_at - $2 WHERE handler = 'download'", 4*hour, 3*hour); err != nil {
			t.Fatal(err)
		}
		resume(t, s, "download", false, 1, 1)
		if a := s.Begin(t, 1, "download"); a.Age < time.Hour || a.Age > time.Hour+time.Minute || a.Tries != 2 {
			t.Errorf("attempt = %+v, want an age of an hour and 2 tries", a)
		}
	})
}

// While a target is disabled its steps are deferred as they begin.
func TestDisabledTarget(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2))
		s.Finish(t, s.Begin(t, 1, "download"), deferredFor(0))
		for _, reason := range []event.Reason{event.ReasonOther, event.ReasonTimeout} {
			if err := s.Workflow.Disable(t.Context(), "download", reason, "410 \x00\xff"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Workflow.Disable(t.Context(), "other", event.ReasonAuth, "by hand"); err != nil {
			t.Fatal(err)
		}
		resume(t, s, "download", true, 100, 0)
		if _, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(2).ID, Handler: "download"}); !errors.Is(err, workflow.ErrDeferred) {
			t.Errorf("Begin of a step of a disabled target: error = %v, want ErrDeferred", err)
		}
		got := step(t, s, 2)
		if got.State != event.Retrying || got.Tries != 0 || len(got.Attempts) != 0 || got.Reason != event.ReasonOther || got.Detail != "410 \uFFFD\uFFFD" {
			t.Errorf("deferred step = %+v, want it retrying with the first reason and a sanitized detail, without tries and attempts", got)
		}
		targets, err := s.Workflow.Targets(t.Context())
		if err != nil || len(targets) != 2 || targets[0].Name != "download" || targets[0].Deferred != 2 || targets[0].Disabled.IsZero() ||
			targets[0].Reason != event.ReasonOther || targets[1].Deferred != 0 || targets[1].Detail != "by hand" {
			t.Errorf("targets = %+v, error %v; want download with 2 deferred steps and its first reason, and other without", targets, err)
		}
		if token, err := s.History.ChangeToken(t.Context()); err != nil || token.Deferred != 2 || token.Disabled != 2 {
			t.Errorf("change token = %+v, error %v; want 2 deferred and 2 disabled", token, err)
		}
		for _, want := range []bool{true, false} {
			if got, err := s.Workflow.Enable(t.Context(), "download"); err != nil || got != want {
				t.Errorf("Enable = %t, error %v; want %t", got, err, want)
			}
		}
		resume(t, s, "download", false, 100, 2)
		s.Begin(t, 1, "download")
		s.Begin(t, 2, "download")
	})
}

// An attempt disables its target in the transaction that records it; a stale one changes nothing.
func TestFinishDisablesTarget(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
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
		if got := step(t, s, 1); got.State != event.Retrying || got.Tries != 0 || len(got.Attempts) != 2 {
			t.Errorf("step = %+v, want retrying, no tries (the stale attempt is free), 2 attempts", got)
		}
		if _, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(2).ID, Handler: "download"}); !errors.Is(err, workflow.ErrDeferred) {
			t.Errorf("another event: error = %v, want %v", err, workflow.ErrDeferred)
		}
	})
}

// Every step of a stage has its own attempts in the history, whatever their order.
func TestHistoryOfStages(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		if _, err := s.Workflow.Add(t.Context(), workflowtest.Take(workflowtest.Entry(1)), [][]string{{"forward", "download"}}); err != nil {
			t.Fatal(err)
		}
		for _, handler := range []string{"forward", "download", "forward", "download"} {
			s.Finish(t, s.Begin(t, 1, handler), workflow.Result{State: event.Retrying, NextAt: time.Now()})
		}
		h, err := s.History.Load(t.Context(), workflowtest.Entry(1).ID)
		if err != nil || len(h.Steps) != 2 || len(h.Steps[0].Attempts) != 2 || len(h.Steps[1].Attempts) != 2 {
			t.Errorf("details = %+v, error %v; want 2 steps with 2 attempts each", h, err)
		}
	})
}

// Unattended counts deferred steps too.
func TestUnattendedSteps(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2))
		s.Finish(t, s.Begin(t, 1, "download"), deferredFor(time.Hour))
		counts, err := s.Workflow.Unattended(t.Context(), []string{"forward"})
		if err != nil || len(counts) != 1 || counts["download"] != 2 {
			t.Errorf("Unattended = %v, error %v; want 2 of download", counts, err)
		}
	})
}
