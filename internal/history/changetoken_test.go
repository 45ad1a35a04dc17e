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

// Whatever becomes of a step changes the mark also when as many events as before are in each state, here and in another replica.
func TestMarkChangesThoughTheCountsDoNot(t *testing.T) {
	t.Parallel()
	retrying := workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()}
	dead, done := workflow.Result{State: event.Dead, Reason: event.ReasonExpired}, workflow.Result{State: event.Done}
	again := func(t *testing.T, s *workflowtest.Stores, n int, to workflow.Result) {
		t.Helper()
		if steps, err := s.Workflow.Replay(t.Context(), workflowtest.Entry(n).ID, workflow.Replay{Finished: true}); err != nil || steps == 0 {
			t.Fatalf("%d steps were replayed, error %v", steps, err)
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
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				other := workflowtest.New(t, s.DB, nil)
				if _, err := s.Workflow.Add(t.Context(), workflowtest.Take(workflowtest.Entry(1), workflowtest.Entry(2)), [][]string{{"download"}}); err != nil {
					t.Fatal(err)
				}
				s.Finish(t, s.Begin(t, 1, "download"), row.first)
				s.Finish(t, s.Begin(t, 2, "download"), row.second)
				before := map[string]history.ChangeToken{"here": mark(t, s), "elsewhere": mark(t, other)}
				if !reflect.DeepEqual(before["here"], mark(t, s)) {
					t.Error("it changes though nothing happens")
				}
				row.change(t, s)
				for where, now := range map[string]history.ChangeToken{"here": mark(t, s), "elsewhere": mark(t, other)} {
					if !reflect.DeepEqual(now.Counts, before[where].Counts) {
						t.Errorf("the counts differ: %v", now.Counts)
					}
					if reflect.DeepEqual(now, before[where]) {
						t.Errorf("%s it is still %+v", where, now)
					}
				}
			})
		})
	}
}

func mark(t *testing.T, s *workflowtest.Stores) history.ChangeToken {
	t.Helper()
	m, err := s.History.ChangeToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}
