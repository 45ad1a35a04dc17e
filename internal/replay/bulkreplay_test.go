package replay_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/rs/zerolog"
)

// With so many steps that wait for a worker, half of the dead events can be replayed.
const (
	dead    = 20
	waiting = 290
)

// openDead opens stores in which the first events are dead.
func openDead(t *testing.T, place *databasetest.Place) *workflowtest.Stores {
	t.Helper()
	s := workflowtest.Open(t, place)
	var entries []event.Entry
	for n := range dead + waiting {
		entries = append(entries, event.Entry{Sequence: int64(n), ID: event.ID(fmt.Sprintf("event-%03d", n)), Job: fmt.Sprint("job-", n), Received: time.Now()})
	}
	s.AddStages(t, [][]string{{"download"}}, entries...)
	for _, statement := range []string{
		"UPDATE steps SET state = 'dead', reason = 'expired' WHERE event_id < 'event-020'",
		"UPDATE events SET state = 'dead' WHERE id < 'event-020'", "DELETE FROM river_job",
	} {
		if _, err := s.DB.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// latest waits until the latest bulk replay is as wanted.
func latest(t *testing.T, bulk *replay.Store, want string, ok func(replay.BulkReplay) bool) replay.BulkReplay {
	t.Helper()
	return testkit.WaitFor(t, want, func() (replay.BulkReplay, error) { return bulk.Latest(t.Context()) }, ok)
}

// A bulk replay that a stop interrupts resumes in the next process, and no event is replayed twice.
func TestInterruptedBulkReplayResumes(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := openDead(t, place)
		filter := history.Filter{State: event.Dead, Reason: event.ReasonExpired, Handler: "download", From: time.UnixMicro(1).UTC()}
		bulk := replay.NewStore(s.Writer)
		first := replay.New(replay.Deps{BulkReplays: bulk, Events: s.History, Workflow: s.Workflow, Handlers: []string{"download"}, Log: zerolog.Nop()})
		if err := first.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := first.Begin(t.Context(), filter); err != nil {
			t.Fatal(err)
		}
		const half = dead / 2
		latest(t, bulk, "10 replayed events", func(r replay.BulkReplay) bool { return r.Events == half })
		stop(t, first)
		middle := latest(t, bulk, "a bulk replay", func(replay.BulkReplay) bool { return true })
		if middle.Events != half || middle.Cursor != "event-010" || !middle.Finished.IsZero() || middle.Filter != filter {
			t.Errorf("after the stop: %+v, want %d events up to event-010, in progress, with filter %+v", middle, half, filter)
		}
		if err := first.Begin(t.Context(), filter); !errors.Is(err, replay.ErrBusy) {
			t.Errorf("second Begin: error = %v, want ErrBusy", err)
		}
		// An event that was replayed and is dead again is not replayed twice.
		if _, err := s.DB.Writer.ExecContext(t.Context(), "UPDATE steps SET state = 'dead', reason = 'expired' WHERE event_id = 'event-015'"); err != nil {
			t.Fatal(err)
		}
		second := replay.New(replay.Deps{BulkReplays: bulk, Events: s.History, Workflow: s.Workflow, Log: zerolog.Nop()}) // without handlers it never waits for workers
		if err := second.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer stop(t, second)
		end := latest(t, bulk, "a finished bulk replay", func(r replay.BulkReplay) bool { return !r.Finished.IsZero() })
		if end.Events != dead || end.Steps != dead || end.Failed || end.ID != middle.ID {
			t.Errorf("at the end: %+v, want %d events and steps of %s, not failed", end, dead, middle.ID)
		}
		var jobs, repeated int
		err := s.DB.Reader.QueryRowContext(t.Context(), `SELECT count(*), count(*) - count(DISTINCT CAST(args AS TEXT)) FROM river_job`).Scan(&jobs, &repeated)
		if err != nil || jobs != dead || repeated != 0 {
			t.Errorf("jobs = %d, %d of them repeated, error %v; want %d and 0", jobs, repeated, err, dead)
		}
	})
}
