package workflow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/google/go-cmp/cmp"
)

// Renewed URLs count from the next attempt on, which begins at once only if the one before found a URL expired.
func TestRenew(t *testing.T) {
	t.Parallel()
	one, two := []string{"https://h/a.png?s=2"}, []string{"https://h/a.png?s=2", "https://h/b.png?s=2"}
	const old = "https://h/a.png?s=1"
	later := time.Now().Add(time.Hour)
	rows := []struct {
		name    string
		urls    []string
		before  []string         // renewed before the first attempt
		result  *workflow.Result // of the first attempt; nil while it runs
		want    string           // states of the event and its steps afterwards
		wantErr error
		begins  bool // the next attempt begins, with the URLs
		url     string
	}{
		{name: "A10 running", urls: one, want: "running running waiting", wantErr: workflow.ErrRunning},
		{
			name: "A10 waits", urls: one, result: &workflow.Result{State: event.Retrying, Reason: event.ReasonExpired, NextAt: later},
			want: "retrying retrying waiting", begins: true,
		},
		{
			name: "A10 several wait", urls: two, result: &workflow.Result{State: event.Retrying, Reason: event.ReasonExpired, NextAt: later},
			want: "retrying retrying waiting", begins: true,
		},
		{
			name: "A10 reported by the vendor", urls: one,
			result: &workflow.Result{State: event.Retrying, Reason: event.ReasonExpired, NextAt: later, ResultURL: old},
			want:   "retrying retrying waiting", begins: true,
		},
		{name: "A10 dead", urls: one, result: &workflow.Result{State: event.Dead, Reason: event.ReasonExpired}, want: "pending pending waiting", begins: true},
		{name: "A10 several are dead", urls: two, result: &workflow.Result{State: event.Dead, Reason: event.ReasonExpired}, want: "pending pending waiting", begins: true},
		{
			name: "A10 has expired too", urls: two, before: two, result: &workflow.Result{State: event.Retrying, Reason: event.ReasonExpired, NextAt: later},
			want: "retrying retrying waiting",
		},
		{
			name: "A10 waits for another reason", urls: one, result: &workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: later},
			want: "retrying retrying waiting",
		},
		{name: "A10 dead for another reason", urls: one, result: &workflow.Result{State: event.Dead, Reason: event.ReasonWrongType}, want: "dead dead waiting"},
		{name: "A10 done", urls: one, result: &workflow.Result{State: event.Done}, want: "pending done pending"},
		{
			name: "A10 confirmed by the vendor", urls: one, want: "dead dead waiting",
			result: &workflow.Result{State: event.Dead, Reason: event.ReasonExpired, VerifiedURL: old},
		},
		{
			name: "A10 one of several confirmed by the vendor", urls: two, want: "pending pending waiting", begins: true, url: old,
			result: &workflow.Result{State: event.Dead, Reason: event.ReasonExpired, VerifiedURL: old},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				s.Add(t, workflowtest.Entry(1))
				if row.before != nil {
					mustRenew(t, s, row.before)
				}
				first := s.Begin(t, 1, "download")
				if row.result != nil {
					s.Finish(t, first, *row.result)
				}
				if err := s.Workflow.Renew(t.Context(), renewal(row.urls)); !errors.Is(err, row.wantErr) {
					t.Errorf("error = %v, want %v", err, row.wantErr)
				}
				checkStates(t, s, 1, row.want)
				if !row.begins {
					return
				}
				next := s.Begin(t, 1, "download")
				if diff := cmp.Diff(row.urls, next.Renewed); diff != "" || next.ResultURL != row.url {
					t.Errorf("URL = %q, want %q; URLs of the next attempt (-want +got):\n%s", next.ResultURL, row.url, diff)
				}
			})
		})
	}
}

// A step that was running when its URLs were renewed, and ended as expired, runs again with them.
func TestRenewAfterRunning(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		attempt := s.Begin(t, 1, "download")
		urls := []string{"https://h/a.png?s=2", "https://h/b.png?s=2"}
		if err := s.Workflow.Renew(t.Context(), renewal(urls)); !errors.Is(err, workflow.ErrRunning) {
			t.Errorf("error = %v, want %v", err, workflow.ErrRunning)
		}
		s.Finish(t, attempt, workflow.Result{State: event.Dead, Reason: event.ReasonExpired})
		mustRenew(t, s, urls)
		checkStates(t, s, 1, "pending pending waiting")
	})
}

// RenewableBytes says for which events a renewal is of use.
func TestRenewableBytes(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		urls    int
		result  *workflow.Result // nil for an event that is not here
		wantErr error
	}{
		{name: "unknown", urls: 1, wantErr: workflow.ErrNotFound},
		{name: "dead", urls: 1, result: &workflow.Result{State: event.Dead, Reason: event.ReasonExpired}},
		{name: "skipped", urls: 1, result: &workflow.Result{State: event.Skipped}, wantErr: workflow.ErrFinished},
		{name: "done", urls: 2, result: &workflow.Result{State: event.Done}, wantErr: workflow.ErrFinished},
		{name: "confirmed", urls: 1, result: &workflow.Result{State: event.Dead, VerifiedURL: "https://h/a.png"}, wantErr: workflow.ErrFinished},
		{name: "one of several confirmed", urls: 2, result: &workflow.Result{State: event.Dead, VerifiedURL: "https://h/a.png"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				if row.result != nil {
					s.AddStages(t, [][]string{{"download"}}, workflowtest.Entry(1))
					s.Finish(t, s.Begin(t, 1, "download"), *row.result)
				}
				bytes, err := s.Workflow.RenewableBytes(t.Context(), renewal(make([]string, row.urls)))
				if !errors.Is(err, row.wantErr) || err == nil && bytes != workflowtest.Entry(1).Bytes {
					t.Errorf("bytes = %d, error = %v; want %d, %v", bytes, err, workflowtest.Entry(1).Bytes, row.wantErr)
				}
			})
		})
	}
}

func renewal(urls []string) event.Renewal {
	return event.Renewal{Event: workflowtest.Entry(1).ID, Job: workflowtest.Entry(1).Job, URLs: urls}
}

func mustRenew(t *testing.T, s *workflowtest.Stores, urls []string) {
	t.Helper()
	if err := s.Workflow.Renew(t.Context(), renewal(urls)); err != nil {
		t.Fatal(err)
	}
}
