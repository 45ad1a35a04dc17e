// Package workflow is the state machine of events: it adds them with their steps, begins and finishes attempts, defers,
// quarantines, releases and replays. It decides which attempt may record an outcome; a step that is
// recorded as done never runs again.
package workflow

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/google/uuid"
)

// Errors that callers decide by.
var (
	ErrNotFound = database.ErrNotFound
	// ErrFinished means that there is nothing to do: the step is done, dead or skipped.
	ErrFinished = database.Refuse("the step is finished")
	// ErrStale means that another attempt has begun since: the outcome of this one is refused.
	ErrStale = database.Refuse("another attempt has taken over")
	// ErrCrashProne means that the process crashed during several attempts of the step: it must run alone, by BeginAlone.
	ErrCrashProne = database.Refuse("the process crashed during the step")
	// ErrDeferred means that a step has been deferred, because its target is disabled.
	ErrDeferred = database.Refuse("the step is deferred")

	errNotYet = database.Refuse("the step is due later")
)

// Queue inserts jobs in the transaction that makes their steps pending.
type Queue interface {
	Insert(ctx context.Context, tx *sql.Tx, jobs []queue.Job) error
	// RunNow makes the job of a step that waits for its next attempt run at once.
	RunNow(ctx context.Context, tx *sql.Tx, job queue.Job) error
}

// addHook is called in the transaction that adds entries, after their steps are inserted.
type addHook = func(ctx context.Context, tx *sql.Tx, entries []event.Entry) error

// Store reads and writes the state of events and steps. It is safe for use by many goroutines.
type Store struct {
	writer *database.Writer
	queue  Queue
	onAdd  addHook
	runner string // this process
}

// New returns a Store that writes with writer. queue and onAdd may be nil where nothing is added or begun.
func New(writer *database.Writer, queue Queue, onAdd addHook) *Store {
	return &Store{writer: writer, queue: queue, onAdd: onAdd, runner: uuid.NewString()}
}

// Now returns the time of the clock of the database, by which all replicas decide what is due.
func (s *Store) Now() time.Time { return s.writer.DB.Now() }

// Pending counts the steps of a handler that wait for a worker now, up to limit.
func (s *Store) Pending(ctx context.Context, handler string, limit int) (int, error) {
	var n int
	err := s.writer.DB.Reader.QueryRowContext(ctx,
		"SELECT count(*) FROM (SELECT 1 FROM steps WHERE state = 'pending' AND handler = $1 LIMIT $2) AS waiting", handler, limit).Scan(&n)
	return n, database.Wrap("workflow: pending", err)
}

// Unattended counts, by handler, the pending, running and retrying steps of all handlers but those given. No worker runs
// them, as after a handler was removed from the configuration.
func (s *Store) Unattended(ctx context.Context, handlers []string) (map[string]int, error) {
	rows, err := database.Query(ctx, s.writer.DB.Reader, `SELECT handler, sum(n) FROM (
			SELECT handler, count(*) AS n FROM steps WHERE state = 'pending' GROUP BY handler
			UNION ALL
			SELECT handler, count(*) FROM steps WHERE state = 'running' GROUP BY handler
			UNION ALL
			SELECT handler, count(*) FROM steps WHERE deferred_at IS NOT NULL GROUP BY handler
			UNION ALL
			SELECT handler, count(*) FROM steps WHERE reason <> '' AND state = 'retrying' AND deferred_at IS NULL GROUP BY handler
		) AS found GROUP BY handler`)
	if err != nil {
		return nil, database.Wrap("workflow: unattended", err)
	}
	counts := map[string]int{}
	err = rows.ForEach(func() error {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		if !slices.Contains(handlers, name) {
			counts[name] = n
		}
		return nil
	})
	return counts, database.Wrap("workflow: unattended", err)
}
