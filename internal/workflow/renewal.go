package workflow

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// ErrRunning means that a step is running with the URLs that it got before, and that nothing was recorded.
var ErrRunning = database.Refuse("the step is running")

// RenewableBytes returns the length of the body of an event whose results may still be fetched by renewed URLs. It returns
// ErrFinished if all its steps are done or skipped, or the vendor has confirmed the URL of its only result; and ErrNotFound if the
// event is not here, or not yet.
func (s *Store) RenewableBytes(ctx context.Context, r event.Renewal) (bytes int64, err error) {
	var finished bool
	err = s.writer.DB.Reader.QueryRowContext(ctx, `SELECT bytes, verified_at IS NOT NULL AND $2 = 1 OR
			NOT EXISTS (SELECT 1 FROM steps WHERE event_id = id AND steps.state NOT IN ('done', 'skipped'))
		FROM events WHERE id = $1`, string(r.Event), len(r.URLs)).Scan(&bytes, &finished)
	if err == nil && finished {
		return 0, ErrFinished
	}
	return bytes, database.Wrap("workflow: renewable", database.NotFound(err))
}

// Renew sets the URLs of the results, which count from the next attempts on. Steps that wait or are dead because a URL has expired run
// at once, unless they had these URLs already. While a step is running it sets nothing and returns ErrRunning.
func (s *Store) Renew(ctx context.Context, r event.Renewal) error {
	text, err := json.Marshal(r.URLs)
	if err != nil {
		return database.Wrap("workflow: renew", err)
	}
	urls := database.SanitizeText(string(text))
	return s.writer.WriteRow(ctx, "workflow: renew", "events", string(r.Event), func(ctx context.Context, tx *sql.Tx) error {
		expired, running, err := expiredSteps(ctx, tx, r.Event)
		if err != nil {
			return err
		}
		if running {
			return ErrRunning
		}
		result, err := tx.ExecContext(ctx, `UPDATE events SET renewed = $1, result_url = CASE WHEN verified_at IS NULL THEN '' ELSE result_url END
			WHERE id = $2 AND renewed <> $1 AND NOT (verified_at IS NOT NULL AND $3 = 1)`, urls, string(r.Event), len(r.URLs))
		if err != nil {
			return err
		}
		if changed, err := result.RowsAffected(); err != nil || changed == 0 {
			return err
		}
		for _, step := range expired {
			if err := s.runNow(ctx, tx, r.Event, step); err != nil {
				return err
			}
		}
		return nil
	})
}

// expiredStep is a step that waits or is dead because the URL of a result has expired.
type expiredStep struct {
	handler string
	state   event.Status
}

// expiredSteps returns the steps of an event that did not get a result because its URL had expired, and whether a step is running.
func expiredSteps(ctx context.Context, tx *sql.Tx, id event.ID) (expired []expiredStep, running bool, err error) {
	rows, err := database.Query(ctx, tx, `SELECT handler, state FROM steps WHERE event_id = $1
		AND (state = 'running' OR reason = $2 AND deferred_at IS NULL AND state IN ('retrying', 'dead'))`, string(id), string(event.ReasonExpired))
	if err != nil {
		return nil, false, err
	}
	err = rows.ForEach(func() error {
		var step expiredStep
		if err := rows.Scan(&step.handler, &step.state); err != nil {
			return err
		}
		if step.state == event.Running {
			running = true
			return nil
		}
		expired = append(expired, step)
		return nil
	})
	return expired, running, err
}

// runNow has a step run at once that waits for its next attempt or is dead.
func (s *Store) runNow(ctx context.Context, tx *sql.Tx, id event.ID, step expiredStep) error {
	if step.state == event.Dead {
		_, err := s.replay(ctx, tx, id, Replay{Handler: step.handler})
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE steps SET next_at = $1 WHERE event_id = $2 AND handler = $3", s.Now().UnixMicro(), string(id), step.handler)
	if err != nil {
		return err
	}
	return s.queue.RunNow(ctx, tx, queue.Job{Event: id, Handler: step.handler})
}
