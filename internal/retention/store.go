package retention

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/google/uuid"
)

// Store removes rows of the work database. It is safe for use by many goroutines.
type Store struct {
	writer *database.Writer
	holder string // this process, for the lease
}

// NewStore returns a Store.
func NewStore(writer *database.Writer) *Store {
	return &Store{writer: writer, holder: uuid.NewString()}
}

func (s *Store) now() time.Time { return s.writer.DB.Now() }

// acquire extends the lease of this process, or reports that another one has it. In SQLite there is no other.
func (s *Store) acquire(ctx context.Context, lease time.Duration) (held bool, err error) {
	if s.writer.DB.Kind == database.SQLite {
		return true, nil
	}
	now := s.now()
	rows, err := s.writer.Exec(ctx, "UPDATE retention SET holder = $1, lease_until = $2 WHERE id = 1 AND (holder = $1 OR lease_until <= $3)",
		s.holder, now.Add(lease).UnixMicro(), now.UnixMicro())
	return rows == 1, database.Wrap("retention: acquire", err)
}

// Surplus returns the number of pages that the work store's file can return to the file system; see database.DB.Surplus.
func (s *Store) Surplus(ctx context.Context) (pages int, err error) { return s.writer.DB.Surplus(ctx) }

// Shrink returns up to so many pages of the file to the file system.
func (s *Store) Shrink(ctx context.Context, pages int) error {
	return s.writer.Write(ctx, "retention: shrink", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, database.Shrink(pages))
		return err
	})
}

// found is what find returns.
type found struct {
	events []any    // the ids of old events, as parameters
	last   event.ID // the latest event that was looked at
	more   bool     // there may be further ones
}

// lastChange is when the latest step of an event has changed.
const lastChange = "coalesce((SELECT max(changed_at) FROM steps WHERE event_id = events.id), received_at)"

// find returns the next events of a sweep whose steps have not changed since a time. It only reads.
func (s *Store) find(ctx context.Context, w sweep, before time.Time) (found, error) {
	type row struct {
		id                       event.ID
		received, changed, bytes int64
		bodiless, files          bool
	}
	list, err := database.Select(ctx, s.writer.DB.Reader,
		func(r *row) []any { return []any{&r.id, &r.received, &r.changed, &r.bytes, &r.bodiless, &r.files} },
		"SELECT id, received_at, "+lastChange+`, bytes + original_bytes, body_removed_at IS NOT NULL,
			EXISTS (SELECT 1 FROM artifacts WHERE event_id = events.id)
		FROM events WHERE state = $1 AND id > $2 ORDER BY id LIMIT $3`, string(w.state), string(w.cursor), maxScanned)
	if err != nil {
		return found{}, database.Wrap("retention: find", err)
	}
	f := found{last: w.cursor, more: len(list) == maxScanned}
	bytes := int64(0)
	for _, r := range list {
		if r.received >= before.UnixMicro() { // ids are in the order of reception
			f.more = false
			break
		}
		if !r.bodiless && w.what != filesOnly {
			bytes += r.bytes
		}
		if len(f.events) == maxEvents || len(f.events) > 0 && bytes > maxBytes {
			f.more = true
			break
		}
		f.last = r.id
		nothing := w.what == bodiesOnly && r.bodiless || w.what == filesOnly && !r.files
		if r.changed < before.UnixMicro() && !nothing {
			f.events = append(f.events, string(r.id))
		}
	}
	return f, nil
}

// remove removes those of the events, or of their bodies, that are still as old, and returns their number. It calls fromInbox, in the
// transaction that locks them, before it changes anything: after a crash in between the next call does the same again.
func (s *Store) remove(ctx context.Context, w sweep, ids []any, before time.Time, fromInbox func(context.Context, []inbox.Identity) error) (n int, err error) {
	err = s.writer.Write(ctx, "retention: remove", func(ctx context.Context, tx *sql.Tx) error {
		events, err := s.lockOld(ctx, tx, w.state, ids, before)
		if n = len(events); err != nil || n == 0 {
			return err
		}
		if err := fromInbox(ctx, events); err != nil {
			return err
		}
		locked := make([]any, n)
		for i, e := range events {
			locked[i] = string(e.ID)
		}
		switch w.what {
		case bodiesOnly:
			err = exec(ctx, tx, "UPDATE events SET body_removed_at = "+parameter(n+1)+" WHERE id IN "+database.Values(1, n),
				slices.Concat(locked, []any{s.now().UnixMicro()}))
		case filesOnly:
			err = s.releaseFiles(ctx, tx, locked)
		default:
			err = s.deleteEvents(ctx, tx, locked, w.images)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// lockOld locks those of the events that are in the state and have not changed since a time.
func (s *Store) lockOld(ctx context.Context, tx *sql.Tx, state event.Status, ids []any, before time.Time) ([]inbox.Identity, error) {
	lock := ""
	if s.writer.DB.Kind == database.Postgres {
		lock = " FOR UPDATE OF events"
	}
	n := len(ids)
	arguments := append(append([]any{}, ids...), string(state), before.UnixMicro())
	return database.Select(ctx, tx, func(e *inbox.Identity) []any { return []any{&e.ID, &e.Job} },
		"SELECT id, job FROM events WHERE id IN "+database.Values(1, n)+" AND state = "+parameter(n+1)+" AND "+lastChange+" < "+parameter(n+2)+
			" ORDER BY id"+lock, arguments...)
}

// exec runs a statement with a list of parameters that has any length.
func exec(ctx context.Context, tx *sql.Tx, statement string, arguments []any) error {
	_, err := tx.ExecContext(ctx, statement, arguments...)
	return err
}

func parameter(number int) string { return "$" + strconv.Itoa(number) }

// removeJobs removes the oldest tracked jobs that were resolved before a time.
func (s *Store) removeJobs(ctx context.Context, before time.Time) (n int, more bool, err error) {
	var ids []any
	for _, state := range []string{"arrived", "reconciled", "failed", "expired", "lost"} {
		type row struct {
			id       string
			resolved int64
		}
		list, err := database.Select(ctx, s.writer.DB.Reader, func(r *row) []any { return []any{&r.id, &r.resolved} },
			"SELECT id, coalesce(resolved_at, created_at) FROM tracked_jobs WHERE state = $1 ORDER BY id LIMIT $2", state, maxSmall)
		if err != nil {
			return 0, false, database.Wrap("retention: jobs", err)
		}
		for _, r := range list {
			if r.resolved < before.UnixMicro() {
				ids = append(ids, r.id)
			}
		}
	}
	if len(ids) == 0 {
		return 0, false, nil
	}
	err = s.writer.Write(ctx, "retention: jobs", func(ctx context.Context, tx *sql.Tx) error {
		return exec(ctx, tx, "DELETE FROM tracked_jobs WHERE id IN "+database.Values(1, len(ids)), ids)
	})
	if err != nil {
		return 0, false, err
	}
	return len(ids), len(ids) >= maxSmall, nil
}
