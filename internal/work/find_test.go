package work_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/work"
)

// manyAlike is more jobs that begin alike than lead to their events one by one, and more events than a part of a list has.
const manyAlike = 2400

// However many events begin alike, by their job or by their id, all are found, from the newest to the oldest, counted, and replayed.
func TestManyBeginAlike(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		filter work.Filter
		every  int // which events are found
	}{
		{"by job", work.Filter{Begins: "alike-"}, 2},
		{"by job, dead", work.Filter{Begins: "alike-", State: event.Dead}, 6},
		{"by job, of a handler, dead", work.Filter{Begins: "alike-", Handler: "download", State: event.Dead}, 6},
		{"by job, of a handler", work.Filter{Begins: "alike-", Handler: "download"}, 2},
		{"by job, of a handler that few have", work.Filter{Begins: "alike-", Handler: "publish"}, 60},
		{"by job, for a reason", work.Filter{Begins: "alike-", Reason: event.ReasonExpired}, 6},
		{"by id", work.Filter{Begins: "019b"}, 1},
		{"by id, dead", work.Filter{Begins: "019b", State: event.Dead}, 3},
		{"by id, of a handler, dead", work.Filter{Begins: "019b", Handler: "download", State: event.Dead}, 3},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, db := open(t, place)
		fillAlike(t, db)
		for _, row := range rows {
			var want []event.ID
			dead := 0
			for n := 2*manyAlike - row.every; n >= 0; n -= row.every {
				want = append(want, planID(n))
				if n%3 == 0 && row.filter.Handler != "publish" {
					dead++
				}
			}
			if got := findAll(t, s, row.filter, func(event.ID) {}); !slices.Equal(got, want) {
				t.Errorf("%s: %d are found, want %d", row.name, len(got), len(want))
			}
			if n, err := s.CountDead(t.Context(), row.filter, 10*manyAlike); err != nil || n != dead {
				t.Errorf("%s: %d are dead, want %d, error %v", row.name, n, dead, err)
			}
		}
		replayed := 0
		findAll(t, s, rows[1].filter, func(id event.ID) {
			steps, err := s.Replay(t.Context(), id, work.Replay{})
			if replayed += steps; err != nil {
				t.Fatal(err)
			}
		})
		left, err := s.CountDead(t.Context(), rows[1].filter, manyAlike)
		if want := manyAlike / 3; err != nil || left != 0 || replayed != want {
			t.Errorf("%d steps were replayed, want %d, and %d events left, error %v", replayed, want, left, err)
		}
	})
}

// findAll goes through a list as those do who page it: each of an event of a part as soon as they have it.
func findAll(t *testing.T, s *work.Store, filter work.Filter, each func(event.ID)) (found []event.ID) {
	t.Helper()
	const limit = 200
	var before event.ID
	for {
		lines, err := s.Find(t.Context(), filter, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			found, before = append(found, line.ID), line.ID
			each(line.ID)
		}
		if len(lines) < limit {
			return found
		}
	}
}

// fillAlike adds events of which every second has a job that begins like others, and every third is dead. The names of the jobs go
// against the order of the events.
func fillAlike(t *testing.T, db *database.DB) {
	t.Helper()
	events := &table{name: "events", columns: "id, seq, job, received_at, bytes, state"}
	steps := &table{name: "steps", columns: "event_id, handler, position, state, since, reason, changed_at"}
	for n := range 2 * manyAlike {
		job, state, reason := fmt.Sprint("other-", n), event.Done, event.Reason("")
		switch {
		case n%2 == 0:
			job = fmt.Sprintf("alike-%04d", 2*manyAlike-n)
		case n == 1:
			job = string(planID(n)) // it begins as its id does
		}
		if n%3 == 0 {
			state, reason = event.Dead, event.ReasonExpired
		}
		events.add(string(planID(n)), n, job, planTime(n).UnixMicro(), 1, string(state))
		steps.add(string(planID(n)), "download", 0, string(state), 0, string(reason), 0)
		if n%60 == 0 {
			steps.add(string(planID(n)), "publish", 0, "done", 0, "", 0)
		}
	}
	insertAll(t, db, events, steps)
}
