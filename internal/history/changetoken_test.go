package history_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// A change of a step changes the token of this process and of another one, even if the counts of the states stay the same.
func TestChangeTokenDiffersThoughCountsDoNot(t *testing.T) {
	t.Parallel()
	retrying := workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()}
	dead, done := workflow.Result{State: event.Dead, Reason: event.ReasonExpired}, workflow.Result{State: event.Done}
	again := func(t *testing.T, s *workflowtest.Stores, n int, to workflow.Result) {
		t.Helper()
		if steps, err := s.Workflow.Replay(t.Context(), workflowtest.Entry(n).ID, workflow.Replay{Finished: true}); err != nil || steps == 0 {
			t.Fatalf("Replay = %d steps, error %v; want at least one", steps, err)
		}
		s.Finish(t, s.Begin(t, n, "download"), to)
	}
	rows := []struct {
		name          string
		first, second workflow.Result
		change        func(t *testing.T, s *workflowtest.Stores)
	}{
		{"tried again, and as before", retrying, done, func(t *testing.T, s *workflowtest.Stores) {
			t.Helper()
			s.Finish(t, s.Begin(t, 1, "download"), retrying)
		}},
		{"replayed, and dead again", dead, done, func(t *testing.T, s *workflowtest.Stores) {
			t.Helper()
			again(t, s, 1, dead)
		}},
		{"one done, another dead", dead, done, func(t *testing.T, s *workflowtest.Stores) {
			t.Helper()
			again(t, s, 1, done)
			again(t, s, 2, dead)
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				other := workflowtest.New(t, s.DB, nil)
				if _, err := s.Workflow.Add(t.Context(), workflowtest.Take(workflowtest.Entry(1), workflowtest.Entry(2)), [][]string{{"download"}}); err != nil {
					t.Fatal(err)
				}
				s.Finish(t, s.Begin(t, 1, "download"), row.first)
				s.Finish(t, s.Begin(t, 2, "download"), row.second)
				before := map[string]history.ChangeToken{"here": changeToken(t, s), "elsewhere": changeToken(t, other)}
				if !reflect.DeepEqual(before["here"], changeToken(t, s)) {
					t.Error("the token differs without a change, want the same")
				}
				row.change(t, s)
				for where, now := range map[string]history.ChangeToken{"here": changeToken(t, s), "elsewhere": changeToken(t, other)} {
					if !reflect.DeepEqual(now.Counts, before[where].Counts) {
						t.Errorf("counts %s = %v, want %v as before", where, now.Counts, before[where].Counts)
					}
					if reflect.DeepEqual(now, before[where]) {
						t.Errorf("token %s = %+v, want another one than before", where, now)
					}
				}
			})
		})
	}
}

func changeToken(t *testing.T, s *workflowtest.Stores) history.ChangeToken {
	t.Helper()
	m, err := s.History.ChangeToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}
