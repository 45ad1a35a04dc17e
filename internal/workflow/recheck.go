package workflow

import (
	"context"
	"database/sql"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// maxBeforeRecheck is how many steps of a name may wait for a worker before Recheck leaves quarantined ones alone.
const maxBeforeRecheck = 50

// Recheck makes quarantined steps of a handler whose time has come pending again, at most limit, and returns their number. They
// run after all other steps of the handler. Their age continues, so that the pauses between their attempts grow.
func (s *Store) Recheck(ctx context.Context, handler string, limit int) (n int, err error) {
	const due = "steps.state = 'quarantined' AND handler = $1 AND next_at <= $2"
	now := s.Now().UnixMicro()
	var some int // usually 0, and then nothing is written
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM steps WHERE "+due+" LIMIT 1) AS due", handler, now).Scan(&some)
	if err != nil || some == 0 {
		return 0, database.Wrap("workflow: recheck", err)
	}
	if pending, err := s.Pending(ctx, handler, maxBeforeRecheck); err != nil || pending >= maxBeforeRecheck {
		return 0, err
	}
	lock := ""
	if s.writer.DB.Kind == database.Postgres {
		lock = "FOR UPDATE OF events SKIP LOCKED" // another replica or a person has those
	}
	err = s.writer.Write(ctx, "workflow: recheck", func(ctx context.Context, tx *sql.Tx) error {
		ids, err := database.SelectColumn[event.ID](ctx, tx, `SELECT events.id FROM steps JOIN events ON events.id = event_id
			WHERE `+due+` ORDER BY next_at LIMIT $3 `+lock, handler, now, limit)
		for _, id := range ids {
			if err == nil {
				err = s.recheck(ctx, tx, id, handler)
			}
		}
		n = len(ids)
		return err
	})
	return n, err
}

func (s *Store) recheck(ctx context.Context, tx *sql.Tx, id event.ID, handler string) error {
	_, err := tx.ExecContext(ctx, "UPDATE steps SET state = 'pending', tries = 0, next_at = NULL, changed_at = $1 WHERE event_id = $2 AND handler = $3",
		s.Now().UnixMicro(), string(id), handler)
	if err != nil {
		return err
	}
	if err := s.queue.Insert(ctx, tx, []queue.Job{{Event: id, Handler: handler, Late: true}}); err != nil {
		return err
	}
	return refreshEvent(ctx, tx, id)
}
