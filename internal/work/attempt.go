package work

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// Attempt is one run of one step. Its number is its right to record an outcome:
// as soon as a later attempt has begun, this one counts no more.
type Attempt struct {
	Event     event.ID
	Handler   string
	Sequence  int64 // of the event in the inbox, where its body is
	Job       string
	Received  time.Time
	Number    int           // from 1, over all runs of the step
	Tries     int           // attempts so far that count against the cap, this one included
	Age       time.Duration // since the first attempt began
	Started   time.Time
	Artifacts []event.Artifact // what handlers have stored for the event so far
}

// Begin starts an attempt: from now on every earlier attempt of the step is
// stale. It gives ErrFinished when the step is done, dead, skipped or still
// waits for another, *NotYetError when its time has not come, as after a crash, and
// ErrNotFound when there is no such step.
func (s *Store) Begin(ctx context.Context, job queue.Job) (Attempt, error) {
	attempt := Attempt{Event: job.Event, Handler: job.Handler, Started: time.Now()}
	err := s.write(ctx, "begin", func(ctx context.Context, tx *sql.Tx) error {
		if err := loadStep(ctx, tx, &attempt); err != nil {
			return err
		}
		now := attempt.Started.UnixMicro()
		attempt.Number++
		attempt.Tries++
		_, err := tx.ExecContext(ctx, `UPDATE steps
			SET state = 'running', attempt = ?, tries = ?, since = ?, next_at = NULL, changed_at = ?
			WHERE event_id = ? AND handler = ?`, attempt.Number, attempt.Tries, now-attempt.Age.Microseconds(), now, job.Event, job.Handler)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO attempts (event_id, handler, attempt, started_at, outcome)
			VALUES (?, ?, ?, ?, 'running')`, job.Event, job.Handler, attempt.Number, now)
		if err != nil {
			return err
		}
		if attempt.Artifacts, err = artifacts(ctx, tx, job.Event); err != nil {
			return err
		}
		return refreshEvent(ctx, tx, job.Event)
	})
	if err != nil {
		return Attempt{}, err
	}
	return attempt, nil
}

// loadStep reads what an attempt has to know, and whether there may be one.
func loadStep(ctx context.Context, tx *sql.Tx, a *Attempt) error {
	var state event.Status
	var since, received int64
	var next sql.NullInt64
	err := tx.QueryRowContext(ctx, `
		SELECT steps.state, attempt, tries, since, next_at, seq, job, received_at
		FROM steps JOIN events ON events.id = steps.event_id
		WHERE event_id = ? AND handler = ?`, a.Event, a.Handler).
		Scan(&state, &a.Number, &a.Tries, &since, &next, &a.Sequence, &a.Job, &received)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	a.Received = time.UnixMicro(received).UTC()
	if a.Number > 0 { // before the first attempt a step only waits for us
		a.Age = a.Started.Sub(time.UnixMicro(since))
	}
	switch state {
	case event.Pending, event.Running, event.Retrying:
		return tooEarly(moment(next.Int64), a.Started)
	default:
		return ErrFinished
	}
}

// NotYetError says that a step is to be tried again later than now.
type NotYetError struct{ After time.Duration }

// Error says how much later.
func (e *NotYetError) Error() string { return "work: the step's time comes in " + e.After.String() }

// tooEarly is a *NotYetError if next is ahead, by more than clocks and queues are exact.
func tooEarly(next, now time.Time) error {
	const slack = 100 * time.Millisecond
	if after := next.Sub(now); !next.IsZero() && after > slack {
		return &NotYetError{After: after}
	}
	return nil
}

// Result is how an attempt ended.
type Result struct {
	State       event.Status // Done, Skipped, Retrying, Dead, or Pending for an attempt that was interrupted
	Reason      event.Reason
	Detail      string // a sentence for a person
	NextAt      time.Time
	Artifacts   []event.Artifact
	Interrupted bool // it does not count against the cap
}

// Finish records how an attempt ended, with its artifacts, and releases the next
// step in the same transaction. It gives ErrStale, and records nothing, when a
// later attempt has begun or the step was finished otherwise.
func (s *Store) Finish(ctx context.Context, a Attempt, r Result) error {
	return s.write(ctx, "finish", func(ctx context.Context, tx *sql.Tx) error {
		if err := updateStep(ctx, tx, a, r); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE attempts SET finished_at = ?, outcome = ?, reason = ?, detail = ?
			WHERE event_id = ? AND handler = ? AND attempt = ?`,
			time.Now().UnixMicro(), string(r.State), string(r.Reason), r.Detail, a.Event, a.Handler, a.Number)
		if err != nil {
			return err
		}
		if err := insertArtifacts(ctx, tx, a.Event, r.Artifacts); err != nil {
			return err
		}
		if r.State == event.Done || r.State == event.Skipped {
			if err := s.releaseNext(ctx, tx, a.Event); err != nil {
				return err
			}
		}
		return refreshEvent(ctx, tx, a.Event)
	})
}

func updateStep(ctx context.Context, tx *sql.Tx, a Attempt, r Result) error {
	tries := a.Tries
	if r.Interrupted {
		tries--
	}
	var next any
	if r.State == event.Retrying {
		next = r.NextAt.UnixMicro()
	}
	result, err := tx.ExecContext(ctx, `UPDATE steps
		SET state = ?, reason = ?, detail = ?, tries = ?, next_at = ?, changed_at = ?
		WHERE event_id = ? AND handler = ? AND attempt = ? AND state = 'running'`,
		string(r.State), string(r.Reason), r.Detail, tries, next, time.Now().UnixMicro(), a.Event, a.Handler, a.Number)
	if err != nil {
		return err
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return errors.Join(ErrStale, err)
	}
	return nil
}

// releaseNext makes the first waiting step pending, if no earlier one is unfinished.
func (s *Store) releaseNext(ctx context.Context, tx *sql.Tx, id event.ID) error {
	var name string
	var state event.Status
	err := tx.QueryRowContext(ctx, `SELECT handler, state FROM steps
		WHERE event_id = ? AND state NOT IN ('done', 'skipped') ORDER BY position LIMIT 1`, id).Scan(&name, &state)
	if errors.Is(err, sql.ErrNoRows) || err == nil && state != event.Waiting {
		return nil
	}
	if err != nil {
		return err
	}
	now := time.Now().UnixMicro()
	_, err = tx.ExecContext(ctx, "UPDATE steps SET state = 'pending', since = ?, changed_at = ? WHERE event_id = ? AND handler = ?",
		now, now, id, name)
	if err != nil {
		return err
	}
	return s.jobs.Insert(ctx, tx, []queue.Job{{Event: id, Handler: name}})
}

// refreshEvent derives the state of an event from its steps: what needs a person first.
func refreshEvent(ctx context.Context, tx *sql.Tx, id event.ID) error {
	_, err := tx.ExecContext(ctx, `UPDATE events SET state = (
		SELECT CASE
			WHEN sum(state = 'dead')     > 0 THEN 'dead'
			WHEN sum(state = 'retrying') > 0 THEN 'retrying'
			WHEN sum(state = 'running')  > 0 THEN 'running'
			WHEN sum(state IN ('pending', 'waiting')) > 0 THEN 'pending'
			ELSE 'done'
		END FROM steps WHERE event_id = events.id)
		WHERE id = ? AND state <> 'quarantined'`, id)
	return err
}

func insertArtifacts(ctx context.Context, tx *sql.Tx, id event.ID, artifacts []event.Artifact) error {
	for _, a := range artifacts {
		_, err := tx.ExecContext(ctx, `INSERT INTO artifacts
			(event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (event_id, handler, position) DO UPDATE SET
				source = excluded.source, key = excluded.key, url = excluded.url, bytes = excluded.bytes, sha256 = excluded.sha256,
				media_type = excluded.media_type, width = excluded.width, height = excluded.height, stored_at = excluded.stored_at`,
			id, a.Handler, a.Index, a.Source, a.Key, a.URL, a.Bytes, a.SHA256, a.MediaType, a.Width, a.Height, a.Stored.UnixMicro())
		if err != nil {
			return err
		}
	}
	return nil
}
