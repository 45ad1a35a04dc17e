package workflow

import (
	"context"
	"database/sql"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// maxPurged is the maximum number of events that one transaction of Purge changes.
const maxPurged = 20

// purgedDetail is the detail of a step whose event has no body any more.
const purgedDetail = "Body purged by a person."

// Purged is an event whose body is removed.
type Purged struct {
	ID  event.ID
	Job string
}

// CountPurgeable counts the quarantined events that were received before a time.
func (s *Store) CountPurgeable(ctx context.Context, before time.Time) (n int, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) FROM events WHERE state = 'quarantined' AND received_at < $1", before.UnixMicro()).
		Scan(&n)
	return n, database.Wrap("workflow: count purgeable", err)
}

// Purge makes the quarantined events that were received before a time dead, and returns their number. It calls remove to remove the
// bodies of each batch, in the transaction, so that no event is released meanwhile. If that fails, or the transaction, the batch stays
// quarantined, and the next call removes the bodies again.
func (s *Store) Purge(ctx context.Context, before time.Time, remove func(context.Context, []Purged) error) (count int, err error) {
	for ctx.Err() == nil {
		n := 0
		err := s.writer.Write(ctx, "workflow: purge", func(ctx context.Context, tx *sql.Tx) error {
			batch, err := s.purgeable(ctx, tx, before)
			n = len(batch)
			if err != nil || n == 0 {
				return err
			}
			if err := remove(ctx, batch); err != nil {
				return err
			}
			for _, e := range batch {
				if err := s.purge(ctx, tx, e.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n == 0 {
			return count, err
		}
		count += n
	}
	return count, ctx.Err()
}

// purgeable locks and returns the next events.
func (s *Store) purgeable(ctx context.Context, tx *sql.Tx, before time.Time) ([]Purged, error) {
	lock := ""
	if s.writer.DB.Kind == database.Postgres {
		lock = " FOR UPDATE"
	}
	return database.Select(ctx, tx, func(e *Purged) []any { return []any{&e.ID, &e.Job} }, `SELECT id, job FROM events
		WHERE state = 'quarantined' AND received_at < $1 ORDER BY id LIMIT $2`+lock, before.UnixMicro(), maxPurged)
}

func (s *Store) purge(ctx context.Context, tx *sql.Tx, id event.ID) error {
	_, err := tx.ExecContext(ctx, `UPDATE steps SET state = 'dead', next_at = NULL, reason = $1, detail = $2, changed_at = $3
		WHERE event_id = $4 AND state = 'quarantined'`, string(event.ReasonStorage), purgedDetail, s.Now().UnixMicro(), string(id))
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE events SET body_removed_at = $1 WHERE id = $2", s.Now().UnixMicro(), string(id)); err != nil {
		return err
	}
	return refreshEvent(ctx, tx, id)
}
