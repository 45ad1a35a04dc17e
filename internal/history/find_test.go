package history_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// manyAlike is more jobs that begin alike than lead to their events one by one, and more events than a part of a list has.
const manyAlike = 2400

// However many events begin alike, by their job or by their id, all are found, from the newest to the oldest, counted, and replayed.
func TestManyBeginAlike(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		filter history.Filter
		every  int // which events are found
	}{
		{"by job", history.Filter{Begins: "alike-"}, 2},
		{"by job, dead", history.Filter{Begins: "alike-", State: event.Dead}, 6},
		{"by job, of a handler, dead", history.Filter{Begins: "alike-", Handler: "download", State: event.Dead}, 6},
		{"by job, of a handler", history.Filter{Begins: "alike-", Handler: "download"}, 2},
		{"by job, of a handler that few have", history.Filter{Begins: "alike-", Handler: "publish"}, 60},
		{"by job, for a reason", history.Filter{Begins: "alike-", Reason: event.ReasonExpired}, 6},
		{"by id", history.Filter{Begins: "019b"}, 1},
		{"by id, dead", history.Filter{Begins: "019b", State: event.Dead}, 3},
		{"by id, of a handler, dead", history.Filter{Begins: "019b", Handler: "download", State: event.Dead}, 3},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
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
			if n, err := s.History.CountDead(t.Context(), row.filter, 10*manyAlike); err != nil || n != dead {
				t.Errorf("%s: %d are dead, want %d, error %v", row.name, n, dead, err)
			}
		}
		replayed := 0
		findAll(t, s, rows[1].filter, func(id event.ID) {
			steps, err := s.Workflow.Replay(t.Context(), id, workflow.Replay{})
			if replayed += steps; err != nil {
				t.Fatal(err)
			}
		})
		left, err := s.History.CountDead(t.Context(), rows[1].filter, manyAlike)
		if want := manyAlike / 3; err != nil || left != 0 || replayed != want {
			t.Errorf("%d steps were replayed, want %d, and %d events left, error %v", replayed, want, left, err)
		}
	})
}

// findAll goes through a list as those do who page it: each of an event of a part as soon as they have it.
func findAll(t *testing.T, s *workflowtest.Stores, filter history.Filter, each func(event.ID)) (found []event.ID) {
	t.Helper()
	const limit = 200
	var before event.ID
	for {
		lines, err := s.History.Find(t.Context(), filter, before, limit)
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

// run makes an attempt of a step and records how it ended.
func run(t *testing.T, s *workflowtest.Stores, id event.ID, handler string, result workflow.Result) {
	t.Helper()
	attempt, err := s.Workflow.Begin(t.Context(), queue.Job{Event: id, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	s.Finish(t, attempt, result)
}

func TestFind(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		begin := time.UnixMilli(0x019a_0000_0000).UTC()
		for n := range 8 {
			a := workflow.InboxEntry{
				Sequence: int64(n), ID: event.ID(fmt.Sprintf("019a%04x-0000-7000-8000-00000000000%d", n*16, n)),
				Job: fmt.Sprint("job-", n%2, "-", n), Received: begin.Add(time.Duration(n*16<<16) * time.Millisecond), Bytes: 1,
			}
			s.Add(t, a)
			switch n {
			case 1, 2:
				run(t, s, a.ID, "download", workflow.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"})
			case 3:
				run(t, s, a.ID, "download", workflow.Result{State: event.Done, Artifacts: []event.Artifact{
					{Handler: "download", Index: -1, MediaType: "application/json"}, {Handler: "download", Index: 0, Width: 2, Height: 3, MediaType: "image/png"},
				}})
				run(t, s, a.ID, "forward", workflow.Result{State: event.Dead, Reason: event.ReasonAuth})
			case 4:
				run(t, s, a.ID, "download", workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()})
			}
		}
		at := func(n int) time.Time { return begin.Add(time.Duration(n*16<<16) * time.Millisecond) }
		rows := []struct {
			name   string
			filter history.Filter
			before event.ID
			limit  int
			want   string
		}{
			{"all", history.Filter{}, "", 10, "76543210"},
			{"newest", history.Filter{}, "", 3, "765"},
			{"older than", history.Filter{}, "019a0020-0000-7000-8000-000000000002", 10, "10"},
			{"by state", history.Filter{State: event.Dead}, "", 10, "321"},
			{"by job", history.Filter{Job: "job-1-3"}, "", 10, "3"},
			{"by the beginning of the job", history.Filter{Begins: "job-1"}, "", 10, "7531"},
			{"by the beginning of the id", history.Filter{Begins: "019a0040"}, "", 10, "4"},
			{"by nothing there is", history.Filter{Begins: "%"}, "", 10, ""},
			{"by handler", history.Filter{Handler: "download"}, "", 10, "76543210"},
			{"by handler, older than", history.Filter{Handler: "download"}, "019a0020-0000-7000-8000-000000000002", 10, "10"},
			{"by handler and state", history.Filter{Handler: "download", State: event.Retrying}, "", 10, "4"},
			{"by reason", history.Filter{Reason: event.ReasonExpired}, "", 10, "21"},
			{"by handler and reason", history.Filter{Handler: "forward", Reason: event.ReasonAuth, State: event.Dead}, "", 10, "3"},
			{"from", history.Filter{From: at(5)}, "", 10, "765"},
			{"to", history.Filter{To: at(2)}, "", 10, "10"},
			{"everything at once", history.Filter{
				Handler: "download", Reason: event.ReasonExpired, State: event.Dead, Begins: "job", From: at(0), To: at(2),
			}, "", 10, "1"},
		}
		for _, row := range rows {
			lines, err := s.History.Find(t.Context(), row.filter, row.before, row.limit)
			got := ""
			for _, line := range lines {
				got += string(line.ID[len(line.ID)-1])
			}
			if err != nil || got != row.want {
				t.Errorf("%s: got %q, want %q, error %v", row.name, got, row.want, err)
			}
		}
		lines, err := s.History.Find(t.Context(), history.Filter{Job: "job-1-3"}, "", 1)
		if err != nil || len(lines) != 1 || lines[0].Images != 1 || lines[0].First == nil || *lines[0].First != 1 || lines[0].Failure.Handler != "forward" {
			t.Errorf("got %+v, error %v", lines, err)
		}
		if n, err := s.History.CountDead(t.Context(), history.Filter{Handler: "download"}, 10); n != 2 || err != nil {
			t.Errorf("%d are dead, error %v", n, err)
		}
		if n, err := s.History.CountDead(t.Context(), history.Filter{State: event.Done}, 10); n != 0 || err != nil {
			t.Errorf("%d are dead and done, error %v", n, err)
		}
		tallies, err := s.History.StepCounts(t.Context())
		if err != nil || tallies["download"].Dead != 2 || tallies["download"].Retrying != 1 || tallies["download"].Pending != 4 ||
			tallies["download"].Reasons[event.ReasonExpired] != 2 || tallies["forward"].Dead != 1 {
			t.Errorf("got %+v, error %v", tallies["download"], err)
		}
		rates, err := s.History.Rates(t.Context(), begin, time.Hour)
		var sum int64
		for _, states := range rates {
			for _, n := range states {
				sum += n
			}
		}
		if err != nil || sum != 8 {
			t.Errorf("rates %v, error %v", rates, err)
		}
		if oldest, err := s.History.Oldest(t.Context()); err != nil || !oldest.Equal(at(0)) {
			t.Errorf("the oldest is of %v, error %v", oldest, err)
		}
		if mark, err := s.History.ChangeToken(t.Context()); err != nil || mark.Newest == "" || mark.Counts[event.Dead] != 3 || mark.Deferred != 0 {
			t.Errorf("mark %+v, error %v", mark, err)
		}
	})
}
