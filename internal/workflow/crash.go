package workflow

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// A process that is killed, or that another event crashes, says nothing against the steps that it was working on: their attempts are
// free. Steps that were running in several crashes in a row are crash-prone. They are put off, and then run alone, in a process that has
// lived through that pause: a crash there counts as an attempt.

const (
	// crashProneAfter is the number of crashes in a row that make a step crash-prone.
	crashProneAfter = 3
	// The pause of a crash-prone step doubles with each further crash.
	minCrashPause = 15 * time.Second
	maxCrashPause = time.Hour
)

// crash is what is known about the crashes during a step.
type crash struct {
	count  int  // attempts in a row that ended with their process
	isNew  bool // the latest of them was not noticed before
	isOurs bool // this process noticed the latest, and has lived since
}

func (c crash) isCrashProne() bool { return c.count >= crashProneAfter }

// pause returns the pause of a crash-prone step after a crash that was not noticed before; 0 for none.
func (c crash) pause() time.Duration {
	if !c.isNew || !c.isCrashProne() {
		return 0
	}
	return background.Backoff(minCrashPause, maxCrashPause, c.count-crashProneAfter)
}

// crashOf returns the crashes of the step of an attempt that is about to begin. It corrects the tries if the attempt before did not
// count.
func (s *Store) crashOf(a *Attempt, found foundStep) crash {
	c := crash{count: found.crashes, isOurs: found.runner == s.runner}
	if found.state != event.Running {
		return c
	}
	if !c.isOurs { // otherwise an attempt of this process ended, but could not be recorded
		c.isNew = true
		c.count++
	}
	if !found.alone || c.isOurs {
		a.Tries = max(a.Tries-1, 0)
	}
	return c
}

// putOff makes a crash-prone step wait.
func (s *Store) putOff(ctx context.Context, tx *sql.Tx, a Attempt, crashes int, pause time.Duration) error {
	detail := fmt.Sprintf("The process ended during each of the last %d attempts. The step runs again later, alone.", crashes)
	_, err := tx.ExecContext(ctx, `UPDATE steps SET state = 'retrying', tries = $1, crashes = $2, runner = $3, alone = 0, next_at = $4,
			reason = $5, detail = $6, changed_at = $7 WHERE event_id = $8 AND handler = $9`,
		a.Tries, crashes, s.runner, a.Started.Add(pause).UnixMicro(), string(event.ReasonOther), detail, a.Started.UnixMicro(), a.Event, a.Handler)
	if err != nil {
		return err
	}
	return refreshEvent(ctx, tx, a.Event)
}

// NotAlone records that other steps begin while a crash-prone step runs, so that a crash does not count against it.
func (s *Store) NotAlone(ctx context.Context, a Attempt) error {
	return s.writer.WriteRow(ctx, "workflow: not alone", "events", string(a.Event), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE steps SET alone = 0 WHERE event_id = $1 AND handler = $2 AND attempt = $3", a.Event, a.Handler, a.Number)
		return err
	})
}

func flag(value bool) int {
	if value {
		return 1
	}
	return 0
}
