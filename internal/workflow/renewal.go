package workflow

import (
	"context"
	"database/sql"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// Renewal is a result URL with a new signature, which a duplicate of the callback of an event had.
type Renewal struct {
	Event   event.ID
	Job     string
	Handler string // that fetches the result
	URL     string
}

// ErrRunning means that the step is running, with a URL that it got before.
var ErrRunning = database.Refuse("the step is running")

// RenewableBytes returns the length of the body of an event whose result can still be fetched with a renewed URL. It returns
// ErrFinished if the step is done or skipped, or the vendor has confirmed a URL; and ErrNotFound if the event is not here, or not yet.
func (s *Store) RenewableBytes(ctx context.Context, r Renewal) (bytes int64, err error) {
	var finished bool
	err = s.writer.DB.Reader.QueryRowContext(ctx, `SELECT bytes, verified_at IS NOT NULL OR steps.state IN ('done', 'skipped')
		FROM events JOIN steps ON event_id = id WHERE id = $1 AND handler = $2`, string(r.Event), r.Handler).Scan(&bytes, &finished)
	if err == nil && finished {
		return 0, ErrFinished
	}
	return bytes, database.Wrap("workflow: renewable", database.NotFound(err))
}

// Renew sets the URL, which counts from the next attempt on. A step that waits or is dead because its URL has expired runs at once, unless it
// had this URL already. ErrRunning means that the URL is set, but the step may yet end with the old one: then Renew with again set
// has it run.
func (s *Store) Renew(ctx context.Context, r Renewal, again bool) error {
	running := false
	err := s.writer.WriteRow(ctx, "workflow: renew", "events", string(r.Event), func(ctx context.Context, tx *sql.Tx) error {
		var state event.Status
		var reason event.Reason
		var current string
		var deferred bool
		err := tx.QueryRowContext(ctx, `SELECT steps.state, reason, result_url, deferred_at IS NOT NULL FROM events JOIN steps ON event_id = id
			WHERE id = $1 AND handler = $2 AND verified_at IS NULL`, string(r.Event), r.Handler).Scan(&state, &reason, &current, &deferred)
		if errors.Is(err, sql.ErrNoRows) || state == event.Done || state == event.Skipped {
			return nil
		}
		if err != nil {
			return err
		}
		if current == database.SanitizeText(r.URL) && !again {
			return nil
		}
		if err := setResultURL(ctx, tx, r.Event, r.URL); err != nil {
			return err
		}
		running = state == event.Running
		if reason != event.ReasonExpired || deferred {
			return nil
		}
		return s.runNow(ctx, tx, r, state)
	})
	if err == nil && running {
		return ErrRunning
	}
	return err
}

// runNow has a step run at once that waits for its next attempt or is dead.
func (s *Store) runNow(ctx context.Context, tx *sql.Tx, r Renewal, state event.Status) error {
	switch state {
	case event.Dead:
		_, err := s.replay(ctx, tx, r.Event, Replay{Handler: r.Handler})
		return err
	case event.Retrying:
		_, err := tx.ExecContext(ctx, "UPDATE steps SET next_at = $1 WHERE event_id = $2 AND handler = $3",
			s.Now().UnixMicro(), string(r.Event), r.Handler)
		if err != nil {
			return err
		}
		return s.queue.RunNow(ctx, tx, queue.Job{Event: r.Event, Handler: r.Handler})
	default:
		return nil
	}
}
