// Package work is the work store: every event with its steps, their attempts and
// the artifacts they left. It decides which attempt may record an outcome; a
// step that is recorded as done never runs again.
package work

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/groupcommit"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Errors that callers decide by.
var (
	ErrNotFound = errors.New("work: no such event or step")
	// ErrFinished says that there is nothing to do: the step is done, dead or skipped.
	ErrFinished = errors.New("work: the step is finished")
	// ErrStale says that another attempt has begun since: this one's outcome does not count.
	ErrStale = errors.New("work: another attempt has taken over")
)

// Jobs is the queue, as far as the store needs it: jobs are inserted in the
// transaction that makes their step pending.
type Jobs interface {
	Insert(ctx context.Context, tx *sql.Tx, jobs []queue.Job) error
}

// Store is the work store. It is safe for use by many goroutines.
type Store struct {
	database  *database.SQLite
	jobs      Jobs
	committer *groupcommit.Committer[*operation]
}

// Migrate brings the schema of the work store up to date and returns its version.
func Migrate(ctx context.Context, db *database.SQLite) (int64, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, fmt.Errorf("work: %w", err)
	}
	return db.Migrate(ctx, files)
}

// Open makes a store on a migrated database. It starts the one goroutine that writes; Close stops it.
func Open(db *database.SQLite, jobs Jobs) *Store {
	s := &Store{database: db, jobs: jobs}
	s.committer = groupcommit.Start(groupcommit.Limits{Entries: maxBatch, Wait: writeTimeout}, nil, s.writeBatch)
	return s
}

// Close ends the writing; what waits already is written.
func (s *Store) Close() error {
	s.committer.Stop()
	return nil
}

// Arrival is an event that the relay brings: what the inbox knows of it without its body.
type Arrival struct {
	Sequence int64
	ID       event.ID
	Job      string
	Received time.Time
	Bytes    int64
}

// Add takes events in, each with one step per handler: the first step is pending
// and has its job, the others wait. An event that is there already is left alone,
// so that bringing it again after a crash changes nothing.
func (s *Store) Add(ctx context.Context, arrivals []Arrival, handlers []string) error {
	return s.write(ctx, "add", func(ctx context.Context, tx *sql.Tx) error {
		inserter, err := prepareInserter(ctx, tx)
		if err != nil {
			return err
		}
		defer inserter.close()
		jobs := make([]queue.Job, 0, len(arrivals))
		for _, arrival := range arrivals {
			fresh, err := inserter.insert(ctx, arrival, handlers)
			if err != nil {
				return err
			}
			if fresh {
				jobs = append(jobs, queue.Job{Event: arrival.ID, Handler: handlers[0]})
			}
		}
		return s.jobs.Insert(ctx, tx, jobs)
	})
}

// inserter holds the statements that add an event, prepared once per transaction.
type inserter struct {
	event, step *sql.Stmt
	now         int64
}

func prepareInserter(ctx context.Context, tx *sql.Tx) (*inserter, error) {
	insertEvent, err := tx.PrepareContext(ctx,
		"INSERT INTO events (id, seq, job, received_at, bytes, state) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING")
	if err != nil {
		return nil, err
	}
	insertStep, err := tx.PrepareContext(ctx,
		"INSERT INTO steps (event_id, handler, position, state, since, changed_at) VALUES (?, ?, ?, ?, ?, ?)")
	if err != nil {
		return nil, errors.Join(err, insertEvent.Close())
	}
	return &inserter{event: insertEvent, step: insertStep, now: time.Now().UnixMicro()}, nil
}

func (i *inserter) close() {
	_ = i.event.Close() // the transaction's end decides, not these
	_ = i.step.Close()
}

func (i *inserter) insert(ctx context.Context, a Arrival, handlers []string) (fresh bool, err error) {
	result, err := i.event.ExecContext(ctx, string(a.ID), a.Sequence, a.Job, a.Received.UnixMicro(), a.Bytes, string(event.Pending))
	if err != nil {
		return false, err
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return false, err
	}
	state := event.Pending
	for position, name := range handlers {
		if _, err := i.step.ExecContext(ctx, string(a.ID), name, position, string(state), i.now, i.now); err != nil {
			return false, err
		}
		state = event.Waiting
	}
	return true, nil
}

// Pending counts the steps of a handler that wait for a worker now, up to limit.
func (s *Store) Pending(ctx context.Context, handler string, limit int) (int, error) {
	var n int
	err := s.database.Reader.QueryRowContext(ctx,
		"SELECT count(*) FROM (SELECT 1 FROM steps WHERE state = 'pending' AND handler = ? LIMIT ?)", handler, limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("work: pending: %w", err)
	}
	return n, nil
}

// Unattended counts the pending steps of handlers that are not among those given,
// as after a change of the configuration: nobody works on them.
func (s *Store) Unattended(ctx context.Context, handlers []string) (map[string]int, error) {
	rows, err := s.database.Reader.QueryContext(ctx, "SELECT handler, count(*) FROM steps WHERE state = 'pending' GROUP BY handler")
	if err != nil {
		return nil, wrap("unattended", err)
	}
	counts := map[string]int{}
	err = each(rows, func() error {
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
	return counts, wrap("unattended", err)
}
