package workflow

import (
	"cmp"
	"context"
	"database/sql"
	"net/netip"
	"slices"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// takeEntries returns the events that are to be added. It runs in the transaction that adds
// them, so that claiming them in the same database is part of it.
type takeEntries = func(ctx context.Context, tx *sql.Tx) ([]event.Entry, error)

// Add adds the events that take returns, each with one step per handler, and returns their number. stages are handlers
// in the order in which they run: the steps of the first stage are pending and have their queue jobs, those
// of a later one wait until all before are done. An event that exists already is not changed, so that
// adding it again after a crash is safe.
func (s *Store) Add(ctx context.Context, take takeEntries, stages [][]string) (taken int, err error) {
	err = s.writer.Write(ctx, "workflow: add", func(ctx context.Context, tx *sql.Tx) error {
		entries, err := take(ctx, tx)
		if taken = len(entries); err != nil || taken == 0 {
			return err
		}
		added, err := insertEvents(ctx, tx, entries)
		if err != nil {
			return err
		}
		if err := insertWords(ctx, tx, entries, added); err != nil {
			return err
		}
		if err := s.advanceMark(ctx, tx, entries); err != nil {
			return err
		}
		if err := s.insertSteps(ctx, tx, added, stages); err != nil || s.onAdd == nil {
			return err
		}
		return s.onAdd(ctx, tx, entries)
	})
	return taken, err
}

// advanceMark records up to which number the work store has the events of an inbox in another file.
func (s *Store) advanceMark(ctx context.Context, tx *sql.Tx, entries []event.Entry) error {
	if s.writer.DB.Kind == database.Postgres {
		return nil
	}
	last := slices.MaxFunc(entries, func(a, b event.Entry) int { return cmp.Compare(a.Sequence, b.Sequence) })
	_, err := tx.ExecContext(ctx, database.AdvanceMark, last.Sequence)
	return err
}

// LastSequence returns the highest number of an event in the work store, 0 if it has none.
func LastSequence(ctx context.Context, db *database.DB) (last int64, err error) {
	err = db.Reader.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&last)
	return last, database.Wrap("workflow: last sequence", err)
}

// CountAfter counts the events whose numbers are higher than the one given.
func CountAfter(ctx context.Context, db *database.DB, sequence int64) (n int64, err error) {
	err = db.Reader.QueryRowContext(ctx, "SELECT count(*) FROM events WHERE seq > $1", sequence).Scan(&n)
	return n, database.Wrap("workflow: count after", err)
}

// insertEvents inserts the events that do not exist yet, and returns their ids.
func insertEvents(ctx context.Context, tx *sql.Tx, entries []event.Entry) (added []event.ID, err error) {
	insert := database.Insert{
		Into: "events (id, seq, job, received_at, bytes, original_bytes, state, source, origin, input, reference)", Columns: 11,
		Suffix: " ON CONFLICT (id) DO NOTHING RETURNING id",
	}
	for _, e := range entries {
		insert.Add(string(e.ID), e.Sequence, e.Job, e.Received.UnixMicro(), e.Bytes, e.Original, string(event.Pending),
			addressText(e.Source), string(cmp.Or(e.Origin, event.OriginCallback)), e.Input, e.Reference)
	}
	err = insert.Run(ctx, tx, func(rows *database.Rows) error {
		var id event.ID
		err := rows.Scan(&id)
		added = append(added, id)
		return err
	})
	return added, err
}

// insertWords inserts the words of the names of new events, for the search.
func insertWords(ctx context.Context, tx *sql.Tx, entries []event.Entry, added []event.ID) error {
	fresh := make(map[event.ID]bool, len(added))
	for _, id := range added {
		fresh[id] = true
	}
	insert := database.Insert{Into: "event_words (event_id, word)", Columns: 2}
	for _, e := range entries {
		if !fresh[e.ID] {
			continue
		}
		for _, word := range e.Words() {
			insert.Add(string(e.ID), word)
		}
	}
	return insert.Run(ctx, tx, nil)
}

// addressText formats an address for its column, "" for none.
func addressText(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	return address.String()
}

// insertSteps inserts the steps of new events, and queue jobs for those of the first stage.
func (s *Store) insertSteps(ctx context.Context, tx *sql.Tx, ids []event.ID, stages [][]string) error {
	insert := database.Insert{Into: "steps (event_id, handler, position, state, since, changed_at)", Columns: 6}
	now := s.Now().UnixMicro()
	var jobs []queue.Job
	for _, id := range ids {
		state := event.Pending
		for position, handlers := range stages {
			for _, name := range handlers {
				insert.Add(string(id), name, position, string(state), now, now)
				if position == 0 {
					jobs = append(jobs, queue.Job{Event: id, Handler: name})
				}
			}
			state = event.Waiting
		}
	}
	if err := insert.Run(ctx, tx, nil); err != nil {
		return err
	}
	return s.queue.Insert(ctx, tx, jobs)
}
