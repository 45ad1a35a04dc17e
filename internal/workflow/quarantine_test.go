package workflow_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

var quarantine = workflow.Result{State: event.Quarantined, Reason: event.ReasonNotVerified, Detail: "nobody knows it"}

// sameJob is an event of the job of all events that it makes.
func sameJob(n int) workflow.InboxEntry {
	made := workflowtest.Entry(n)
	made.Job = "the job"
	return made
}

func verified(url string) workflow.Result {
	return workflow.Result{State: event.Done, VerifiedURL: url}
}

func TestQuarantinedEventsAreLetOut(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2), workflowtest.Entry(3), workflowtest.Entry(4))
		for n := range 3 {
			s.Finish(t, s.Begin(t, n+1, "download"), quarantine)
		}
		if n, err := s.Workflow.Quarantined(t.Context()); n != 3 || err != nil {
			t.Errorf("%d are quarantined, error %v", n, err)
		}
		if of, steps := states(t, s, 1); of != event.Quarantined || !reflect.DeepEqual(steps, []event.Status{event.Quarantined, event.Waiting}) {
			t.Errorf("event %s, steps %v", of, steps)
		}
		for err, do := range map[error]error{
			workflow.ErrNotFound: s.Workflow.Release(t.Context(), "nobody"),
			workflow.ErrFinished: s.Workflow.VerifyAgain(t.Context(), workflowtest.Entry(4).ID),
		} {
			if !errors.Is(do, err) {
				t.Errorf("got %v, want %v", do, err)
			}
		}
		before := countJobs(t, db, "download")
		if err := s.Workflow.VerifyAgain(t.Context(), workflowtest.Entry(1).ID); err != nil {
			t.Fatal(err)
		}
		if of, steps := states(t, s, 1); of != event.Pending || steps[0] != event.Pending || countJobs(t, db, "download") != before+1 {
			t.Errorf("verified again: event %s, steps %v", of, steps)
		}
		if attempt := s.Begin(t, 1, "download"); !attempt.Recheck || attempt.Tries != 1 || attempt.Number != 2 {
			t.Errorf("got %+v", attempt)
		}
		if n, err := s.Workflow.ReleaseAll(t.Context()); n != 2 || err != nil {
			t.Errorf("%d released, error %v", n, err)
		}
		if of, steps := states(t, s, 2); of != event.Pending || !reflect.DeepEqual(steps, []event.Status{event.Skipped, event.Pending}) || countJobs(t, db, "forward") != 2 {
			t.Errorf("released: event %s, steps %v", of, steps)
		}
		if n, err := s.Workflow.VerifyAllAgain(t.Context()); n != 0 || err != nil {
			t.Errorf("%d verified again, error %v", n, err)
		}
	})
}

// Of all events of a job that the vendor has one result for, one is worked on.
func TestOneEventClaimsAResult(t *testing.T) {
	t.Parallel()
	const address, signed, another = "https://deep-image.ai/1.png?a", "https://deep-image.ai/1.png?b", "https://deep-image.ai/2.png"
	skipped := []event.Status{event.Skipped, event.Skipped}
	rows := []struct {
		name   string
		first  []workflow.Result // of the first event's steps
		second workflow.Result
		steps  []event.Status
	}{
		{"in progress", []workflow.Result{verified(address)}, verified(signed), skipped},
		{"done", []workflow.Result{verified(address), {State: event.Done}}, verified(signed), skipped},
		{"dead", []workflow.Result{verified(address), {State: event.Dead}}, verified(signed), []event.Status{event.Done, event.Pending}},
		{"another result", []workflow.Result{verified(address)}, verified(another), []event.Status{event.Done, event.Pending}},
		{"quarantined", []workflow.Result{quarantine}, verified(signed), []event.Status{event.Done, event.Pending}},
		{"gone after", []workflow.Result{verified(address), {State: event.Done}}, workflow.Result{State: event.Dead, Action: event.ActionFail, Cause: event.CauseDeleted}, skipped},
		{"gone before", []workflow.Result{{State: event.Dead, Action: event.ActionFail, Cause: event.CauseDeleted}}, workflow.Result{State: event.Dead, Action: event.ActionFail, Cause: event.CauseDeleted}, []event.Status{event.Dead, event.Waiting}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				s.Add(t, sameJob(1), sameJob(2))
				for n, result := range row.first {
					s.Finish(t, s.Begin(t, 1, []string{"download", "forward"}[n]), result)
				}
				recorded, err := s.Workflow.Finish(t.Context(), s.Begin(t, 2, "download"), row.second)
				if err != nil || (recorded.SupersededBy != "") != (row.steps[0] == event.Skipped) {
					t.Errorf("recorded %+v, error %v", recorded, err)
				}
				of, steps := states(t, s, 2)
				if !reflect.DeepEqual(steps, row.steps) || (of == event.Done) != (recorded.SupersededBy != "") {
					t.Errorf("event %s, steps %v, want %v", of, steps, row.steps)
				}
			})
		})
	}
}

// Also when both are verified at the same moment.
func TestClaimsAtTheSameMoment(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
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
		worked := 0
		for range events {
			if !<-results {
				worked++
			}
		}
		if worked != 1 {
			t.Errorf("%d of %d events are worked on", worked, events)
		}
	})
}

// What only waits for its turn does not grow older meanwhile.
func TestWaitingForItsTurnCostsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		s.Add(t, workflowtest.Entry(1))
		s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{
			State: event.Retrying, Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonRateLimited, NextAt: time.Now().Add(time.Hour),
		})
		var tries, since int64
		err := db.Reader.QueryRowContext(t.Context(), "SELECT tries, since FROM steps WHERE handler = 'download'").Scan(&tries, &since)
		if ahead := time.Until(time.UnixMicro(since)); err != nil || tries != 0 || ahead < 50*time.Minute {
			t.Errorf("%d tries, its age begins in %s, error %v", tries, ahead, err)
		}
	})
}
