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

// A renewed URL counts from the next attempt on, which begins at once only if the one before found its URL expired.
func TestRenew(t *testing.T) {
	t.Parallel()
	const old, fresh = "https://h/a.png?s=1", "https://h/a.png?s=2"
	later := time.Now().Add(time.Hour)
	rows := []struct {
		name    string
		result  *workflow.Result // of the first attempt; nil while it runs
		want    string           // states of the event and its steps afterwards
		wantErr error
		wantURL string // of the next attempt; "" if none begins
	}{
		{name: "A10 running", want: "running running waiting", wantErr: workflow.ErrRunning, wantURL: fresh},
		{
			name: "A10 waits", result: &workflow.Result{State: event.Retrying, Reason: event.ReasonExpired, NextAt: later},
			want: "retrying retrying waiting", wantURL: fresh,
		},
		{name: "A10 dead", result: &workflow.Result{State: event.Dead, Reason: event.ReasonExpired}, want: "pending pending waiting", wantURL: fresh},
		{
			name: "A10 has expired too", result: &workflow.Result{State: event.Retrying, Reason: event.ReasonExpired, NextAt: later, ResultURL: fresh},
			want: "retrying retrying waiting",
		},
		{
			name: "A10 waits for another reason", result: &workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: later},
			want: "retrying retrying waiting",
		},
		{name: "A10 dead for another reason", result: &workflow.Result{State: event.Dead, Reason: event.ReasonWrongType}, want: "dead dead waiting"},
		{name: "A10 done", result: &workflow.Result{State: event.Done}, want: "pending done pending"},
		{
			name: "A10 confirmed by the vendor", result: &workflow.Result{State: event.Done, VerifiedURL: old},
			want: "pending done pending",
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				s.Add(t, workflowtest.Entry(1))
				first := s.Begin(t, 1, "download")
				if row.result != nil {
					s.Finish(t, first, *row.result)
				}
				renewal := workflow.Renewal{Event: first.Event, Job: first.Job, Handler: "download", URL: fresh}
				if err := s.Workflow.Renew(t.Context(), renewal, false); !errors.Is(err, row.wantErr) {
					t.Errorf("error = %v, want %v", err, row.wantErr)
				}
				checkStates(t, s, 1, row.want)
				if row.wantURL == "" {
					return
				}
				if got := s.Begin(t, 1, "download").ResultURL; got != row.wantURL {
					t.Errorf("URL of the next attempt = %q, want %q", got, row.wantURL)
				}
			})
		})
	}
}

// A step that was running when its URL was renewed, and ended as expired, runs again.
func TestRenewAfterRunning(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		attempt := s.Begin(t, 1, "download")
		renewal := workflow.Renewal{Event: attempt.Event, Job: attempt.Job, Handler: "download", URL: "https://h/a.png?s=2"}
		if err := s.Workflow.Renew(t.Context(), renewal, false); !errors.Is(err, workflow.ErrRunning) {
			t.Errorf("error = %v, want %v", err, workflow.ErrRunning)
		}
		s.Finish(t, attempt, workflow.Result{State: event.Dead, Reason: event.ReasonExpired})
		if err := s.Workflow.Renew(t.Context(), renewal, true); err != nil {
			t.Errorf("error = %v, want none", err)
		}
		checkStates(t, s, 1, "pending pending waiting")
	})
}
