package work_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/work"
)

// Whatever becomes of a step changes the mark also when as many events as before are in each state, here and in another replica.
func TestMarkChangesThoughTheCountsDoNot(t *testing.T) {
	t.Parallel()
	retrying := work.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()}
	dead, done := work.Result{State: event.Dead, Reason: event.ReasonExpired}, work.Result{State: event.Done}
	again := func(t *testing.T, s *work.Store, n int, to work.Result) {
		t.Helper()
		if steps, err := s.Replay(t.Context(), arrival(n).ID, work.Replay{Finished: true}); err != nil || steps == 0 {
			t.Fatalf("%d steps were replayed, error %v", steps, err)
		}
		finish(t, s, begin(t, s, n, "download"), to)
	}
	rows := []struct {
		name          string
		first, second work.Result
		change        func(t *testing.T, s *work.Store)
	}{
		{"tried again, and as before", retrying, done, func(t *testing.T, s *work.Store) {
			t.Helper()
			finish(t, s, begin(t, s, 1, "download"), retrying)
		}},
		{"replayed, and dead again", dead, done, func(t *testing.T, s *work.Store) {
			t.Helper()
			again(t, s, 1, dead)
		}},
		{"one done, another dead", dead, done, func(t *testing.T, s *work.Store) {
			t.Helper()
			again(t, s, 1, done)
			again(t, s, 2, dead)
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s, db := open(t, place)
				other := work.Open(db, nil)
				t.Cleanup(func() { _ = other.Close() })
				if err := s.Add(t.Context(), []work.Arrival{arrival(1), arrival(2)}, [][]string{{"download"}}); err != nil {
					t.Fatal(err)
				}
				finish(t, s, begin(t, s, 1, "download"), row.first)
				finish(t, s, begin(t, s, 2, "download"), row.second)
				before := map[string]work.Mark{"here": mark(t, s), "elsewhere": mark(t, other)}
				if !reflect.DeepEqual(before["here"], mark(t, s)) {
					t.Error("it changes though nothing happens")
				}
				row.change(t, s)
				for where, now := range map[string]work.Mark{"here": mark(t, s), "elsewhere": mark(t, other)} {
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

func mark(t *testing.T, s *work.Store) work.Mark {
	t.Helper()
	m, err := s.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}
