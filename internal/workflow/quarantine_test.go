package workflow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

var quarantine = workflow.Result{State: event.Quarantined, Reason: event.ReasonNotVerified, Detail: "not known"}

// sameJob returns event n of a job that it shares with the others.
func sameJob(n int) event.Entry {
	entry := workflowtest.Entry(n)
	entry.Job = "the job"
	return entry
}

func verified(url string) workflow.Result {
	return workflow.Result{State: event.Done, VerifiedURL: url}
}

func TestReleaseFromQuarantine(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2), workflowtest.Entry(3), workflowtest.Entry(4))
		for n := range 3 {
			s.Finish(t, s.Begin(t, n+1, "download"), quarantine)
		}
		if n, err := s.Workflow.Quarantined(t.Context()); n != 3 || err != nil {
			t.Errorf("Quarantined = %d, error %v; want 3", n, err)
		}
		checkStates(t, s, 1, "quarantined quarantined waiting")
		for want, err := range map[error]error{
			workflow.ErrNotFound: s.Workflow.Release(t.Context(), "unknown", false),
			workflow.ErrFinished: s.Workflow.Release(t.Context(), workflowtest.Entry(4).ID, true),
		} {
			if !errors.Is(err, want) {
				t.Errorf("error = %v, want %v", err, want)
			}
		}
		before := countJobs(t, s.DB, "download")
		if err := s.Workflow.Release(t.Context(), workflowtest.Entry(1).ID, true); err != nil {
			t.Fatal(err)
		}
		checkStates(t, s, 1, "pending pending waiting")
		checkJobs(t, s, "download", before+1)
		if attempt := s.Begin(t, 1, "download"); !attempt.Recheck || attempt.Tries != 1 || attempt.Number != 2 {
			t.Errorf("attempt = %+v, want number 2, 1 try, with recheck", attempt)
		}
		if n, err := s.Workflow.ReleaseAll(t.Context(), false); n != 2 || err != nil {
			t.Errorf("ReleaseAll = %d, error %v; want 2", n, err)
		}
		checkStates(t, s, 2, "pending skipped pending")
		checkJobs(t, s, "forward", 2)
		if n, err := s.Workflow.ReleaseAll(t.Context(), true); n != 0 || err != nil {
			t.Errorf("ReleaseAll with verify = %d, error %v; want 0", n, err)
		}
	})
}

// Of all events of a job with the same result, one is processed.
func TestOneEventClaimsAResult(t *testing.T) {
	t.Parallel()
	const address, signed, another = "https://deep-image.ai/1.png?a", "https://deep-image.ai/1.png?b", "https://deep-image.ai/2.png"
	const superseded = "done skipped skipped"
	deleted := workflow.Result{State: event.Dead, Action: event.ActionFail, Cause: event.CauseDeleted}
	rows := []struct {
		name   string
		first  []workflow.Result // of the steps of the first event
		second workflow.Result   // of the first step of the second event
		want   string            // states of the second event and its steps
	}{
		{name: "in progress", first: []workflow.Result{verified(address)}, second: verified(signed), want: superseded},
		{name: "done", first: []workflow.Result{verified(address), {State: event.Done}}, second: verified(signed), want: superseded},
		{name: "dead", first: []workflow.Result{verified(address), {State: event.Dead}}, second: verified(signed), want: "pending done pending"},
		{name: "another result", first: []workflow.Result{verified(address)}, second: verified(another), want: "pending done pending"},
		{name: "quarantined", first: []workflow.Result{quarantine}, second: verified(signed), want: "pending done pending"},
		{name: "deleted after the first is done", first: []workflow.Result{verified(address), {State: event.Done}}, second: deleted, want: superseded},
		{name: "deleted before", first: []workflow.Result{deleted}, second: deleted, want: "dead dead waiting"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				s.Add(t, sameJob(1), sameJob(2))
				for n, result := range row.first {
					s.Finish(t, s.Begin(t, 1, []string{"download", "forward"}[n]), result)
				}
				recorded, err := s.Workflow.Finish(t.Context(), s.Begin(t, 2, "download"), row.second)
				if want := row.want == superseded; err != nil || (recorded.SupersededBy != "") != want {
					t.Errorf("recorded = %+v, error %v; want superseded = %t", recorded, err, want)
				}
				checkStates(t, s, 2, row.want)
			})
		})
	}
}

// One event claims the result also when several are verified concurrently.
func TestConcurrentClaims(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		const events = 20
		var attempts []workflow.Attempt
		for n := range events {
			s.Add(t, sameJob(n))
			attempts = append(attempts, s.Begin(t, n, "download"))
		}
		results := make(chan bool, events)
		for _, attempt := range attempts {
			go func() {
				recorded, err := s.Workflow.Finish(t.Context(), attempt, verified("https://deep-image.ai/1.png"))
				if err != nil {
					t.Error(err)
				}
				results <- recorded.SupersededBy != ""
			}()
		}
		processed := 0
		for range events {
			if !<-results {
				processed++
			}
		}
		if processed != 1 {
			t.Errorf("%d of %d events are processed, want 1", processed, events)
		}
	})
}

// A step that is deferred by a rate limit does not age meanwhile.
func TestDeferredByRateLimit(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		s.Add(t, workflowtest.Entry(1))
		s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{
			State: event.Retrying, Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonRateLimited, NextAt: time.Now().Add(time.Hour),
		})
		var tries, since int64
		err := db.Reader.QueryRowContext(t.Context(), "SELECT tries, since FROM steps WHERE handler = 'download'").Scan(&tries, &since)
		if ahead := time.Until(time.UnixMicro(since)); err != nil || tries != 0 || ahead < 50*time.Minute {
			t.Errorf("tries = %d, age begins in %s, error %v; want 0 tries and about an hour", tries, ahead, err)
		}
	})
}

// A8: quarantined steps are verified again when their time has come, after all others, and their age continues.
func TestRecheck(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2), workflowtest.Entry(3))
		for n, due := range []time.Duration{-time.Second, time.Hour, 0} {
			result := quarantine
			if due != 0 {
				result.NextAt = time.Now().Add(due)
			}
			s.Finish(t, s.Begin(t, n+1, "download"), result)
		}
		recheck := func(want int) {
			t.Helper()
			if n, err := s.Workflow.Recheck(t.Context(), "download", 10); n != want || err != nil {
				t.Errorf("Recheck = %d, error %v; want %d", n, err, want)
			}
		}
		before := countJobs(t, s.DB, "download")
		recheck(1)
		recheck(0)
		checkStates(t, s, 1, "pending pending waiting")
		checkStates(t, s, 2, "quarantined quarantined waiting")
		checkStates(t, s, 3, "quarantined quarantined waiting")
		checkJobs(t, s, "download", before+1)
		attempt := s.Begin(t, 1, "download")
		if attempt.Recheck || attempt.Tries != 1 || attempt.Number != 2 || attempt.Age <= 0 {
			t.Errorf("attempt = %+v, want number 2, 1 try, an age, no recheck by a person", attempt)
		}
		// What a person does ends it.
		if err := s.Workflow.Release(t.Context(), workflowtest.Entry(2).ID, true); err != nil {
			t.Fatal(err)
		}
		attempt = s.Begin(t, 2, "download")
		if attempt.Age > time.Minute || !attempt.Recheck {
			t.Errorf("attempt = %+v, want a new age and recheck", attempt)
		}
	})
}
