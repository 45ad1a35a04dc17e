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
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/rs/zerolog"
)

// So many events are dead, and so many wait for workers that do nothing: there is room for half of the dead.
const (
	dead = 20
	busy = 290
)

// deadStore is a real store in which events are dead.
func deadStore(t *testing.T, place *databasetest.Place) *workflowtest.Stores {
	t.Helper()
	s := workflowtest.Open(t, place)
	var entries []workflow.InboxEntry
	for n := range dead + busy {
		entries = append(entries, workflow.InboxEntry{Sequence: int64(n), ID: event.ID(fmt.Sprintf("event-%03d", n)), Job: fmt.Sprint("job-", n), Received: time.Now()})
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

// until waits for a state of the replay.
func until(t *testing.T, bulk *replay.Store, ok func(replay.BulkReplay) bool) replay.BulkReplay {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for {
		r, err := bulk.Latest(t.Context())
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
		s := deadStore(t, place)
		filter := history.Filter{State: event.Dead, Reason: event.ReasonExpired, Handler: "download", From: time.UnixMicro(1).UTC()}
		bulk := replay.NewStore(s.Writer)
		first := replay.New(replay.Deps{BulkReplays: bulk, Events: s.History, Workflow: s.Workflow, Handlers: []string{"download"}, Log: zerolog.Nop()})
		if err := first.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := first.Begin(t.Context(), filter); err != nil {
			t.Fatal(err)
		}
		const room = dead / 2
		until(t, bulk, func(r replay.BulkReplay) bool { return r.Events == room })
		stop(t, first)
		middle := until(t, bulk, func(replay.BulkReplay) bool { return true })
		if middle.Events != room || middle.Cursor != "event-010" || !middle.Finished.IsZero() || middle.Filter != filter {
			t.Errorf("after the stop: %+v", middle)
		}
		if err := first.Begin(t.Context(), filter); !errors.Is(err, replay.ErrBusy) {
			t.Errorf("a second one: %v", err)
		}
		// One that was replayed is dead again by then. It has had its turn.
		if _, err := s.DB.Writer.ExecContext(t.Context(), "UPDATE steps SET state = 'dead', reason = 'expired' WHERE event_id = 'event-015'"); err != nil {
			t.Fatal(err)
		}
		second := replay.New(replay.Deps{BulkReplays: bulk, Events: s.History, Workflow: s.Workflow, Log: zerolog.Nop()}) // no handler is full
		if err := second.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer stop(t, second)
		end := until(t, bulk, func(r replay.BulkReplay) bool { return !r.Finished.IsZero() })
		if end.Events != dead || end.Steps != dead || end.Failed || end.ID != middle.ID {
			t.Errorf("at the end: %+v", end)
		}
		var jobs, several int
		err := s.DB.Reader.QueryRowContext(t.Context(), `SELECT count(*), count(*) - count(DISTINCT CAST(args AS TEXT)) FROM river_job`).Scan(&jobs, &several)
		if err != nil || jobs != dead || several != 0 {
			t.Errorf("%d jobs, %d of them twice, error %v", jobs, several, err)
		}
	})
}
