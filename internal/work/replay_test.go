package work_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/work"
)

// run makes an attempt of a step and records how it ended.
func run(t *testing.T, s *work.Store, id event.ID, handler string, result work.Result) {
	t.Helper()
	attempt, err := s.Begin(t.Context(), queue.Job{Event: id, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(t.Context(), attempt, result); err != nil {
		t.Fatal(err)
	}
}

func statesOf(t *testing.T, s *work.Store, id event.ID) string {
	t.Helper()
	h, err := s.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text := string(h.Event.State)
	for _, step := range h.Steps {
		text += " " + string(step.State)
	}
	return text
}

func TestReplay(t *testing.T) {
	t.Parallel()
	dead := work.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"}
	done := work.Result{State: event.Done}
	rows := []struct {
		name           string
		first, second  *work.Result // how the steps ended; nil for not begun
		what           work.Replay
		steps          int
		want           string // states of the event and its steps
		download, next int    // jobs there ever were
	}{
		{"dead", &dead, nil, work.Replay{}, 1, "pending pending waiting", 2, 0},
		{"dead, after new work", &dead, nil, work.Replay{Late: true}, 1, "pending pending waiting", 2, 0},
		{"dead, another handler", &dead, nil, work.Replay{Handler: "forward"}, 0, "dead dead waiting", 1, 0},
		{"second is dead", &done, &dead, work.Replay{}, 1, "pending done pending", 1, 2},
		{"second is dead, by its name", &done, &dead, work.Replay{Handler: "forward"}, 1, "pending done pending", 1, 2},
		{"second is dead, the first by its name", &done, &dead, work.Replay{Handler: "download"}, 0, "dead done dead", 1, 1},
		{"done", &done, &done, work.Replay{}, 0, "done done done", 1, 1},
		{"done, all again", &done, &done, work.Replay{Finished: true}, 2, "pending pending waiting", 2, 1},
		{"done, the first again", &done, &done, work.Replay{Handler: "download", Finished: true}, 1, "pending pending done", 2, 1},
		{"pending", nil, nil, work.Replay{Finished: true}, 0, "pending pending waiting", 1, 0},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, db := open(t, place)
		before := map[string]int{"download": 0, "forward": 0}
		for n, row := range rows {
			a := arrival(n)
			add(t, s, a)
			if row.first != nil {
				run(t, s, a.ID, "download", *row.first)
			}
			if row.second != nil {
				run(t, s, a.ID, "forward", *row.second)
			}
			steps, err := s.Replay(t.Context(), a.ID, row.what)
			if err != nil || steps != row.steps || statesOf(t, s, a.ID) != row.want {
				t.Errorf("%s: %d steps, states %q, want %d and %q: %v", row.name, steps, statesOf(t, s, a.ID), row.steps, row.want, err)
			}
			if again, err := s.Replay(t.Context(), a.ID, row.what); again != 0 || err != nil {
				t.Errorf("%s: replayed again: %d steps, %v", row.name, again, err)
			}
			for handler, want := range map[string]int{"download": row.download, "forward": row.next} {
				if got := jobs(t, db, handler); got-before[handler] != want {
					t.Errorf("%s: %d jobs for %s, want %d", row.name, got-before[handler], handler, want)
				}
				before[handler] = jobs(t, db, handler)
			}
		}
	})
}

// A replayed step begins anew, with its past kept; who is late changes nothing.
func TestReplayKeepsTheHistory(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		a := arrival(1)
		add(t, s, a)
		run(t, s, a.ID, "download", work.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()})
		run(t, s, a.ID, "download", work.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"})
		replayed := 0
		var mutex sync.Mutex
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				steps, err := s.Replay(t.Context(), a.ID, work.Replay{})
				if err != nil {
					t.Error(err)
				}
				mutex.Lock()
				defer mutex.Unlock()
				replayed += steps
			})
		}
		group.Wait()
		if replayed != 1 {
			t.Errorf("%d steps were replayed by eight at once", replayed)
		}
		attempt, err := s.Begin(t.Context(), queue.Job{Event: a.ID, Handler: "download"})
		if err != nil || attempt.Number != 3 || attempt.Tries != 1 || attempt.Age > time.Minute {
			t.Errorf("attempt %+v, error %v", attempt, err)
		}
		if _, err := s.Finish(t.Context(), attempt, work.Result{State: event.Done}); err != nil {
			t.Fatal(err)
		}
		h, err := s.Load(t.Context(), a.ID)
		if err != nil || len(h.Steps[0].History) != 3 || h.Steps[0].History[1].Detail != "gone" || h.Steps[0].Reason != "" {
			t.Errorf("history %+v, error %v", h.Steps, err)
		}
		if _, err := s.Replay(t.Context(), "no such", work.Replay{}); !errors.Is(err, work.ErrNotFound) {
			t.Errorf("an event that does not exist: %v", err)
		}
	})
}

func TestFind(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		begin := time.UnixMilli(0x019a_0000_0000).UTC()
		for n := range 8 {
			a := work.Arrival{
				Sequence: int64(n), ID: event.ID(fmt.Sprintf("019a%04x-0000-7000-8000-00000000000%d", n*16, n)),
				Job: fmt.Sprint("job-", n%2, "-", n), Received: begin.Add(time.Duration(n*16<<16) * time.Millisecond), Bytes: 1,
			}
			add(t, s, a)
			switch n {
			case 1, 2:
				run(t, s, a.ID, "download", work.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"})
			case 3:
				run(t, s, a.ID, "download", work.Result{State: event.Done, Artifacts: []event.Artifact{
					{Handler: "download", Index: -1, MediaType: "application/json"}, {Handler: "download", Index: 0, Width: 2, Height: 3, MediaType: "image/png"},
				}})
				run(t, s, a.ID, "forward", work.Result{State: event.Dead, Reason: event.ReasonAuth})
			case 4:
				run(t, s, a.ID, "download", work.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()})
			}
		}
		at := func(n int) time.Time { return begin.Add(time.Duration(n*16<<16) * time.Millisecond) }
		rows := []struct {
			name   string
			filter work.Filter
			before event.ID
			limit  int
			want   string
		}{
			{"all", work.Filter{}, "", 10, "76543210"},
			{"newest", work.Filter{}, "", 3, "765"},
			{"older than", work.Filter{}, "019a0020-0000-7000-8000-000000000002", 10, "10"},
			{"by state", work.Filter{State: event.Dead}, "", 10, "321"},
			{"by job", work.Filter{Job: "job-1-3"}, "", 10, "3"},
			{"by the beginning of the job", work.Filter{Begins: "job-1"}, "", 10, "7531"},
			{"by the beginning of the id", work.Filter{Begins: "019a0040"}, "", 10, "4"},
			{"by nothing there is", work.Filter{Begins: "%"}, "", 10, ""},
			{"by handler", work.Filter{Handler: "download"}, "", 10, "76543210"},
			{"by handler, older than", work.Filter{Handler: "download"}, "019a0020-0000-7000-8000-000000000002", 10, "10"},
			{"by handler and state", work.Filter{Handler: "download", State: event.Retrying}, "", 10, "4"},
			{"by reason", work.Filter{Reason: event.ReasonExpired}, "", 10, "21"},
			{"by handler and reason", work.Filter{Handler: "forward", Reason: event.ReasonAuth, State: event.Dead}, "", 10, "3"},
			{"from", work.Filter{From: at(5)}, "", 10, "765"},
			{"to", work.Filter{To: at(2)}, "", 10, "10"},
			{"everything at once", work.Filter{
				Handler: "download", Reason: event.ReasonExpired, State: event.Dead, Begins: "job", From: at(0), To: at(2),
			}, "", 10, "1"},
		}
		for _, row := range rows {
			lines, err := s.Find(t.Context(), row.filter, row.before, row.limit)
			got := ""
			for _, line := range lines {
				got += string(line.ID[len(line.ID)-1])
			}
			if err != nil || got != row.want {
				t.Errorf("%s: got %q, want %q, error %v", row.name, got, row.want, err)
			}
		}
		lines, err := s.Find(t.Context(), work.Filter{Job: "job-1-3"}, "", 1)
		if err != nil || len(lines) != 1 || lines[0].Images != 1 || lines[0].First != 1 || lines[0].Trouble.Handler != "forward" {
			t.Errorf("got %+v, error %v", lines, err)
		}
		if n, err := s.CountDead(t.Context(), work.Filter{Handler: "download"}, 10); n != 2 || err != nil {
			t.Errorf("%d are dead, error %v", n, err)
		}
		if n, err := s.CountDead(t.Context(), work.Filter{State: event.Done}, 10); n != 0 || err != nil {
			t.Errorf("%d are dead and done, error %v", n, err)
		}
		tallies, err := s.Tallies(t.Context())
		if err != nil || tallies["download"].Dead != 2 || tallies["download"].Retrying != 1 || tallies["download"].Pending != 4 ||
			tallies["download"].Reasons[event.ReasonExpired] != 2 || tallies["forward"].Dead != 1 {
			t.Errorf("got %+v, error %v", tallies["download"], err)
		}
		rates, err := s.Rates(t.Context(), begin, time.Hour)
		var sum int64
		for _, states := range rates {
			for _, n := range states {
				sum += n
			}
		}
		if err != nil || sum != 8 {
			t.Errorf("rates %v, error %v", rates, err)
		}
		if oldest, err := s.Oldest(t.Context()); err != nil || !oldest.Equal(at(0)) {
			t.Errorf("the oldest is of %v, error %v", oldest, err)
		}
		if mark, err := s.Mark(t.Context()); err != nil || mark.Newest == "" || mark.Counts[event.Dead] != 3 || mark.Parked != 0 {
			t.Errorf("mark %+v, error %v", mark, err)
		}
	})
}
