package workflow

import (
	"context"
	"database/sql"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// maxReleased is the maximum number of quarantined events that one transaction changes.
const maxReleased = 500

// releasedDetail is the detail of a step that was released.
const releasedDetail = "Released by a person, without verification."

// Release lets a quarantined event continue without verification, or with verify makes its verification pending again. It returns
// ErrNotFound if there is no such event, and ErrFinished if it is not quarantined.
func (s *Store) Release(ctx context.Context, id event.ID, verify bool) error {
	return s.changeOne(ctx, id, s.changeOf(verify))
}

// ReleaseAll calls Release for every quarantined event and returns their number.
func (s *Store) ReleaseAll(ctx context.Context, verify bool) (int, error) {
	return s.changeAll(ctx, s.changeOf(verify))
}

// Quarantined returns the number of quarantined events.
func (s *Store) Quarantined(ctx context.Context) (n int, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) FROM events WHERE state = 'quarantined'").Scan(&n)
	return n, database.Wrap("workflow: quarantined", err)
}

// change changes a quarantined event.
type change func(ctx context.Context, tx *sql.Tx, id event.ID) error

func (s *Store) changeOf(verify bool) change {
	if verify {
		return s.verifyAgain
	}
	return s.release
}

// changeOne calls do for an event if it is quarantined.
func (s *Store) changeOne(ctx context.Context, id event.ID, do change) error {
	return s.writer.WriteRow(ctx, "workflow: release", "events", string(id), func(ctx context.Context, tx *sql.Tx) error {
		var quarantined int
		err := tx.QueryRowContext(ctx, `SELECT count(CASE WHEN steps.state = 'quarantined' THEN 1 END)
			FROM events LEFT JOIN steps ON event_id = id WHERE id = $1 GROUP BY id`, string(id)).Scan(&quarantined)
		if err := database.NotFound(err); err != nil {
			return err
		}
		if quarantined == 0 {
			return ErrFinished
		}
		return do(ctx, tx, id)
	})
}

// changeAll calls do for every event that is quarantined when it begins, in the order of their ids. An event that is quarantined again
// meanwhile is not changed twice.
func (s *Store) changeAll(ctx context.Context, do change) (count int, err error) {
	begun := s.Now().UnixMicro()
	var last event.ID
	for {
		n := 0
		after := last
		err := s.writer.Write(ctx, "workflow: release all", func(ctx context.Context, tx *sql.Tx) error {
			ids, err := s.quarantined(ctx, tx, after, begun)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := do(ctx, tx, id); err != nil {
					return err
				}
				last = id
			}
			n = len(ids)
			return nil
		})
		if err != nil || n == 0 {
			return count, err
		}
		count += n
	}
}

// quarantined locks and returns the next events that were quarantined before a time.
func (s *Store) quarantined(ctx context.Context, tx *sql.Tx, after event.ID, before int64) ([]event.ID, error) {
	lock := ""
	if s.writer.DB.Kind == database.Postgres {
		lock = "FOR UPDATE"
	}
	return database.SelectColumn[event.ID](ctx, tx, `SELECT id FROM events WHERE state = 'quarantined' AND id > $1
		AND EXISTS (SELECT 1 FROM steps WHERE event_id = id AND steps.state = 'quarantined' AND changed_at <= $2)
		ORDER BY id LIMIT $3 `+lock, string(after), before, maxReleased)
}

func (s *Store) verifyAgain(ctx context.Context, tx *sql.Tx, id event.ID) error {
	now := s.Now().UnixMicro()
	if err := requestRecheck(ctx, tx, id); err != nil {
		return err
	}
	rows, err := database.Query(ctx, tx, `UPDATE steps SET state = 'pending', tries = 0, since = $1, next_at = NULL, reason = '', detail = '', changed_at = $1
		WHERE event_id = $2 AND state = 'quarantined' RETURNING handler`, now, string(id))
	if err != nil {
		return err
	}
	if err := s.insertJobs(ctx, tx, id, rows); err != nil {
		return err
	}
	return refreshEvent(ctx, tx, id)
}

func (s *Store) release(ctx context.Context, tx *sql.Tx, id event.ID) error {
	_, err := tx.ExecContext(ctx, `UPDATE steps SET state = 'skipped', next_at = NULL, reason = '', detail = $1, changed_at = $2
		WHERE event_id = $3 AND state = 'quarantined'`, releasedDetail, s.Now().UnixMicro(), string(id))
	if err != nil {
		return err
	}
	if err := s.startNextStage(ctx, tx, id); err != nil {
		return err
	}
	return refreshEvent(ctx, tx, id)
}

// requestRecheck records that a person wants the API to be asked again.
func requestRecheck(ctx context.Context, tx *sql.Tx, id event.ID) error {
	_, err := tx.ExecContext(ctx, "UPDATE events SET recheck_at = $1 WHERE id = $2", time.Now().UnixMicro(), string(id))
	return err
}
