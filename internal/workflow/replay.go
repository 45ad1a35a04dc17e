package workflow

import (
	"context"
	"database/sql"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// Replay is what is to run again: dead steps, of one handler or of all.
type Replay struct {
	Handler  string   // "" for all
	Finished bool     // also steps that are done or skipped
	Late     bool     // after work that is new
	Progress Progress // of the bulk replay that it is part of; nil for none
}

// Progress records how far a bulk replay has come, in the transaction that replays an event.
type Progress interface {
	// Lock returns ErrStale if another process has the bulk replay, and keeps it from taking it until the transaction ends.
	Lock(ctx context.Context, tx *sql.Tx) error
	// Advance records that so many steps of an event were replayed.
	Advance(ctx context.Context, tx *sql.Tx, id event.ID, steps int) error
}

// Replay makes steps of an event pending once more, each with a job, in one transaction, and says how
// many: those that are dead, and if asked for those that are done. What is under way already is left
// alone, so that asking twice changes nothing. The history of attempts stays; the
// count of tries and the age begin anew. It gives ErrNotFound when there is no such event, and ErrStale
// when another has taken over the replay of many.
func (s *Store) Replay(ctx context.Context, id event.ID, what Replay) (steps int, err error) {
	err = s.writer.WriteRow(ctx, "workflow: replay", "events", string(id), func(ctx context.Context, tx *sql.Tx) error {
		found, state, err := replayable(ctx, tx, id)
		if err != nil {
			return err
		}
		if what.Progress != nil {
			if err := what.Progress.Lock(ctx, tx); err != nil {
				return err
			}
		}
		if state == event.Quarantined { // nothing of it runs before it is released
			return nil
		}
		jobs, reset, err := what.reset(ctx, tx, id, what.choose(found))
		if steps = reset; err != nil || reset == 0 {
			return err
		}
		if err := s.queue.Insert(ctx, tx, jobs); err != nil {
			return err
		}
		if err := recheck(ctx, tx, id); err != nil { // whoever verifies it asks anew, and nobody pays for it
			return err
		}
		if what.Progress != nil {
			if err := what.Progress.Advance(ctx, tx, id, steps); err != nil {
				return err
			}
		}
		return refreshEvent(ctx, tx, id)
	})
	return steps, err
}

// stage is a step as far as a replay must know it.
type stage struct {
	handler  string
	position int
	state    event.Status
	chosen   bool
}

func replayable(ctx context.Context, tx *sql.Tx, id event.ID) (steps []stage, state event.Status, err error) {
	err = tx.QueryRowContext(ctx, "SELECT state FROM events WHERE id = $1", string(id)).Scan(&state)
	if err := database.NotFound(err); err != nil {
		return nil, "", err
	}
	rows, err := tx.QueryContext(ctx, "SELECT handler, position, state FROM steps WHERE event_id = $1 ORDER BY position", string(id))
	if err != nil {
		return nil, "", err
	}
	err = database.ForEachRow(rows, func() error {
		var s stage
		err := rows.Scan(&s.handler, &s.position, &s.state)
		steps = append(steps, s)
		return err
	})
	return steps, state, err
}

// choose marks what is to run again. What was skipped before it is as well: verification may be among it, without which nothing runs.
func (r Replay) choose(steps []stage) []stage {
	last := -1
	for n := range steps {
		if steps[n].chosen = r.chooses(steps[n]); steps[n].chosen {
			last = steps[n].position
		}
	}
	for n := range steps {
		if r.Finished && steps[n].position < last && steps[n].state == event.Skipped {
			steps[n].chosen = true
		}
	}
	return steps
}

// reset makes the chosen steps of the first stage that is not finished pending, and those of later ones waiting.
func (r Replay) reset(ctx context.Context, tx *sql.Tx, id event.ID, steps []stage) (jobs []queue.Job, reset int, err error) {
	first := -1 // position of the first stage that is unfinished after the reset
	for _, s := range steps {
		isFinished := s.state == event.Done || s.state == event.Skipped
		if first < 0 && (!isFinished || s.chosen) {
			first = s.position
		}
	}
	now := time.Now().UnixMicro()
	for _, s := range steps {
		if !s.chosen {
			continue
		}
		state := event.Waiting
		if s.position <= first {
			state = event.Pending
			jobs = append(jobs, queue.Job{Event: id, Handler: s.handler, Late: r.Late})
		}
		_, err := tx.ExecContext(ctx, `UPDATE steps SET state = $1, tries = 0, since = $2, next_at = NULL, deferred_at = NULL,
				reason = '', detail = '', changed_at = $2 WHERE event_id = $3 AND handler = $4`, string(state), now, id, s.handler)
		if err != nil {
			return nil, 0, err
		}
		reset++
	}
	return jobs, reset, nil
}

func (r Replay) chooses(s stage) bool {
	if r.Handler != "" && r.Handler != s.handler {
		return false
	}
	return s.state == event.Dead || r.Finished && (s.state == event.Done || s.state == event.Skipped)
}
