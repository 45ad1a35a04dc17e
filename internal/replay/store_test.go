package replay_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/work"
	"github.com/rs/zerolog"
)

// So many events are dead, and so many wait for workers that do nothing: there is room for half of the dead.
const (
	dead = 20
	busy = 290
)

// deadStore is a real store in which events are dead.
func deadStore(t *testing.T, place *databasetest.Place) (*work.Store, databasetest.Stores) {
	t.Helper()
	stores := place.Open(t)
	if _, err := work.Migrate(t.Context(), stores.Work); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Migrate(t.Context(), stores.Work); err != nil {
		t.Fatal(err)
	}
	jobs, err := queue.Open(stores.Queue, queue.Config{Lease: time.Minute}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := work.Open(stores.Work, jobs)
	t.Cleanup(func() { _ = s.Close() })
	var arrivals []work.Arrival
	for n := range dead + busy {
		arrivals = append(arrivals, work.Arrival{Sequence: int64(n), ID: event.ID(fmt.Sprintf("event-%03d", n)), Job: fmt.Sprint("job-", n), Received: time.Now()})
	}
	if err := s.Add(t.Context(), arrivals, [][]string{{"download"}}); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"UPDATE steps SET state = 'dead', reason = 'expired' WHERE event_id < 'event-020'",
		"UPDATE events SET state = 'dead' WHERE id < 'event-020'", "DELETE FROM river_job",
	} {
		if _, err := stores.Work.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return s, stores
}

// until waits for a state of the replay.
func until(t *testing.T, s *work.Store, ok func(work.Rerun) bool) work.Rerun {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for {
		r, err := s.LatestRerun(t.Context())
		if err == nil && ok(r) {
			return r
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("it never came: %+v, error %v", r, err)
		}
	}
}

// What a process that stops has not come to is replayed by the next one, and nothing is replayed twice.
func TestStoppedInTheMiddle(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, stores := deadStore(t, place)
		filter := work.Filter{State: event.Dead, Reason: event.ReasonExpired, Handler: "download", From: time.UnixMicro(1).UTC()}
		first := replay.New(s, []string{"download"}, zerolog.Nop())
		if err := first.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := first.Begin(t.Context(), filter); err != nil {
			t.Fatal(err)
		}
		const room = dead / 2
		until(t, s, func(r work.Rerun) bool { return r.Events == room })
		first.Stop()
		middle := until(t, s, func(work.Rerun) bool { return true })
		if middle.Events != room || middle.Cursor != "event-010" || !middle.Finished.IsZero() || middle.Filter != filter {
			t.Errorf("after the stop: %+v", middle)
		}
		if err := first.Begin(t.Context(), filter); !errors.Is(err, work.ErrBusy) {
			t.Errorf("a second one: %v", err)
		}
		// One that was replayed is dead again by then. It has had its turn.
		if _, err := stores.Work.Writer.ExecContext(t.Context(), "UPDATE steps SET state = 'dead', reason = 'expired' WHERE event_id = 'event-015'"); err != nil {
			t.Fatal(err)
		}
		second := replay.New(s, nil, zerolog.Nop()) // no handler is full
		if err := second.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer second.Stop()
		end := until(t, s, func(r work.Rerun) bool { return !r.Finished.IsZero() })
		if end.Events != dead || end.Steps != dead || end.Failed || end.ID != middle.ID {
			t.Errorf("at the end: %+v", end)
		}
		var jobs, several int
		err := stores.Work.Reader.QueryRowContext(t.Context(), `SELECT count(*), count(*) - count(DISTINCT CAST(args AS TEXT)) FROM river_job`).Scan(&jobs, &several)
		if err != nil || jobs != dead || several != 0 {
			t.Errorf("%d jobs, %d of them twice, error %v", jobs, several, err)
		}
	})
}
