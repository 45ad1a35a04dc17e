package workflow

import (
	"context"
	"database/sql"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// Replay selects the steps of an event to replay: dead steps, of one handler or of all.
type Replay struct {
	Handler  string   // "" for all
	Finished bool     // also steps that are done or skipped
	Late     bool     // with a lower priority than new events
	Progress progress // of the bulk replay; nil if it is none
}

// progress records how far a bulk replay has come, in the transaction that replays an event.
type progress interface {
	// Lock returns ErrStale if another process has the bulk replay. No process can acquire it until the transaction ends.
	Lock(ctx context.Context, tx *sql.Tx) error
	// Advance records that so many steps of an event were replayed.
	Advance(ctx context.Context, tx *sql.Tx, id event.ID, steps int) error
}

// Replay resets the selected steps of an event and returns their number. Open steps are not changed, so a second call changes nothing.
// The history of attempts stays; the count of tries and the age begin anew. Steps of a quarantined event are not replayed before
// it is released. It returns ErrNotFound if there is no such event, and ErrStale if another process has the bulk replay.
func (s *Store) Replay(ctx context.Context, id event.ID, what Replay) (steps int, err error) {
	err = s.writer.WriteRow(ctx, "workflow: replay", "events", string(id), func(ctx context.Context, tx *sql.Tx) (err error) {
		steps, err = s.replay(ctx, tx, id, what)
		return err
	})
	return steps, err
}

func (s *Store) replay(ctx context.Context, tx *sql.Tx, id event.ID, what Replay) (steps int, err error) {
	found, state, err := loadSteps(ctx, tx, id)
	if err != nil {
		return 0, err
	}
	if what.Progress != nil {
		if err := what.Progress.Lock(ctx, tx); err != nil {
			return 0, err
		}
	}
	if state == event.Quarantined { // a release comes first
		return 0, nil
	}
	jobs, steps, err := what.reset(ctx, tx, id, what.selectSteps(found), s.Now().UnixMicro())
	if err != nil || steps == 0 {
		return 0, err
	}
	if err := s.queue.Insert(ctx, tx, jobs); err != nil {
		return 0, err
	}
	if err := requestRecheck(ctx, tx, id); err != nil { // verification must not use the cached answer
		return 0, err
	}
	if what.Progress != nil {
		if err := what.Progress.Advance(ctx, tx, id, steps); err != nil {
			return 0, err
		}
	}
	return steps, refreshEvent(ctx, tx, id)
}

// replayStep is a step that may be replayed.
type replayStep struct {
	handler  string
	position int
	state    event.Status
	selected bool
}

// loadSteps returns the steps of an event, in the order of their stages, and the state of the event.
func loadSteps(ctx context.Context, tx *sql.Tx, id event.ID) (steps []replayStep, state event.Status, err error) {
	err = tx.QueryRowContext(ctx, "SELECT state FROM events WHERE id = $1", string(id)).Scan(&state)
	if err := database.NotFound(err); err != nil {
		return nil, "", err
	}
	steps, err = database.Select(ctx, tx, func(s *replayStep) []any { return []any{&s.handler, &s.position, &s.state} },
		"SELECT handler, position, state FROM steps WHERE event_id = $1 ORDER BY position", string(id))
	return steps, state, err
}

// selectSteps marks the steps to replay. With Finished it also marks skipped steps of earlier stages, because verification may be among
// them.
func (r Replay) selectSteps(steps []replayStep) []replayStep {
	last := -1
	for n := range steps {
		if steps[n].selected = r.selects(steps[n]); steps[n].selected {
			last = steps[n].position
		}
	}
	for n := range steps {
		if r.Finished && steps[n].position < last && steps[n].state == event.Skipped {
			steps[n].selected = true
		}
	}
	return steps
}

// reset makes the selected steps of the first unfinished stage pending and those of later stages waiting. It returns the queue jobs of
// the pending ones and the number of all.
func (r Replay) reset(ctx context.Context, tx *sql.Tx, id event.ID, steps []replayStep, now int64) (jobs []queue.Job, reset int, err error) {
	first := -1 // position of the first stage that is unfinished after the reset
	for _, s := range steps {
		finished := s.state == event.Done || s.state == event.Skipped
		if first < 0 && (!finished || s.selected) {
			first = s.position
		}
	}
	for _, s := range steps {
		if !s.selected {
			continue
		}
		state := event.Waiting
		if s.position <= first {
			state = event.Pending
			jobs = append(jobs, queue.Job{Event: id, Handler: s.handler, Late: r.Late})
		}
		_, err := tx.ExecContext(ctx, `UPDATE steps SET state = $1, tries = 0, crashes = 0, since = $2, next_at = NULL, deferred_at = NULL,
				outage_at = NULL, host = '',
				reason = '', detail = '', changed_at = $2 WHERE event_id = $3 AND handler = $4`, string(state), now, id, s.handler)
		if err != nil {
			return nil, 0, err
		}
		reset++
	}
	return jobs, reset, nil
}

// selects reports whether a step matches.
func (r Replay) selects(s replayStep) bool {
	if r.Handler != "" && r.Handler != s.handler {
		return false
	}
	return s.state == event.Dead || r.Finished && (s.state == event.Done || s.state == event.Skipped)
}
