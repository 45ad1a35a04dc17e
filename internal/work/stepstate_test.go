package work_test

import (
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/work"
)

// An event with one step that is dead and another that still goes on is dead. Whoever asks for a handler is told of its steps.
func TestStatesOfTheStepsOfAHandler(t *testing.T) {
	t.Parallel()
	expired, auth := work.Result{State: event.Dead, Reason: event.ReasonExpired}, work.Result{State: event.Dead, Reason: event.ReasonAuth}
	retrying := work.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()}
	done, running, pending := work.Result{State: event.Done}, work.Result{State: event.Running}, work.Result{State: event.Pending}
	events := []struct{ download, forward work.Result }{
		{expired, retrying}, {expired, pending}, {expired, running}, {done, auth}, {done, done}, {retrying, done},
	}
	rows := []struct {
		name   string
		filter work.Filter
		want   string
		dead   int
	}{
		{"all of a handler", work.Filter{Handler: "forward"}, "543210", 1},
		{"of nobody", work.Filter{Handler: "nobody"}, "", 0},
		{"retrying beside a dead one", work.Filter{Handler: "forward", State: event.Retrying}, "0", 0},
		{"pending beside a dead one", work.Filter{Handler: "forward", State: event.Pending}, "1", 0},
		{"running beside a dead one", work.Filter{Handler: "forward", State: event.Running}, "2", 0},
		{"dead", work.Filter{Handler: "forward", State: event.Dead}, "3", 1},
		{"done beside any", work.Filter{Handler: "forward", State: event.Done}, "54", 0},
		{"done beside a dead one", work.Filter{Handler: "download", State: event.Done}, "43", 0},
		{"retrying beside a done one", work.Filter{Handler: "download", State: event.Retrying}, "5", 0},
		{"the reason of another", work.Filter{Handler: "forward", Reason: event.ReasonExpired}, "", 0},
		{"a reason that is not dead", work.Filter{Handler: "forward", Reason: event.ReasonTimeout}, "0", 0},
		{"a reason", work.Filter{Handler: "download", Reason: event.ReasonExpired}, "210", 3},
		{"by job", work.Filter{Handler: "forward", State: event.Retrying, Job: "job-0"}, "0", 0},
		{"by the beginning of the job", work.Filter{Handler: "forward", State: event.Retrying, Begins: "job-"}, "0", 0},
		{"events", work.Filter{State: event.Dead}, "3210", 4},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		for n, e := range events {
			if err := s.Add(t.Context(), []work.Arrival{arrival(n)}, [][]string{{"download", "forward"}}); err != nil {
				t.Fatal(err)
			}
			bring(t, s, n, "download", e.download)
			bring(t, s, n, "forward", e.forward)
		}
		for _, row := range rows {
			got := ""
			findAll(t, s, row.filter, func(id event.ID) { got += string(id[len(id)-1]) })
			if got != row.want {
				t.Errorf("%s: got %q, want %q", row.name, got, row.want)
			}
			if n, err := s.CountDead(t.Context(), row.filter, 100); n != row.dead || err != nil {
				t.Errorf("%s: %d are dead, want %d, error %v", row.name, n, row.dead, err)
			}
		}
		lines, err := s.Find(t.Context(), work.Filter{Handler: "forward", State: event.Retrying}, "", 1)
		if err != nil || len(lines) != 1 || lines[0].State != event.Dead || lines[0].Trouble.Reason != event.ReasonTimeout {
			t.Errorf("it is told of %+v, error %v", lines, err)
		}
		tallies, err := s.Tallies(t.Context())
		if got := tallies["forward"]; err != nil || got == nil || got.Pending != 1 || got.Running != 1 || got.Retrying != 1 || got.Dead != 1 {
			t.Errorf("tally %+v, error %v", got, err)
		}
	})
}

// bring brings a step into a state.
func bring(t *testing.T, s *work.Store, n int, handler string, to work.Result) {
	t.Helper()
	if to.State == event.Pending {
		return
	}
	if attempt := begin(t, s, n, handler); to.State != event.Running {
		finish(t, s, attempt, to)
	}
}

// What goes on beside a dead step waits as all else does.
func TestOldestBesideADeadStep(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]work.Result{
		"pending": {State: event.Pending}, "running": {State: event.Running},
		"retrying": {State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now().Add(time.Hour)}, "parked": parkedFor(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s, _ := open(t, place)
				first, second := arrival(1), arrival(2)
				second.Received = first.Received.Add(time.Minute)
				if err := s.Add(t.Context(), []work.Arrival{first, second}, [][]string{{"download", "forward"}}); err != nil {
					t.Fatal(err)
				}
				bring(t, s, 1, "download", work.Result{State: event.Dead, Reason: event.ReasonExpired})
				bring(t, s, 1, "forward", other)
				if oldest, err := s.Oldest(t.Context()); err != nil || !oldest.Equal(first.Received) {
					t.Errorf("the oldest is of %v, want %v, error %v", oldest, first.Received, err)
				}
			})
		})
	}
}
