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
	"slices"
	"sync/atomic"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/groupcommit"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

//go:embed migrations
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
	database  *database.DB
	jobs      Jobs
	committer *groupcommit.Committer[*operation]
	writes    atomic.Int64 // transactions that were committed
}

// Migrate brings the schema of the work store up to date and returns its version.
func Migrate(ctx context.Context, db *database.DB) (int64, error) {
	return db.Migrate(ctx, migrations, "work")
}

// SchemaVersion is the version to which Migrate brings the schema; it is the same for both kinds of databases.
func SchemaVersion() int64 { return database.NewestVersion(migrations, database.SQLite) }

// Open makes a store on a migrated database. It starts the goroutines that write; Close stops them.
func Open(db *database.DB, jobs Jobs) *Store {
	s := &Store{database: db, jobs: jobs}
	s.committer = groupcommit.Start(groupcommit.Limits{Entries: maxBatch, Wait: writeTimeout, Writers: writers(db)}, nil, s.writeBatch)
	return s
}

// Close ends the writing; what waits already is written.
func (s *Store) Close() error {
	s.committer.Stop()
	return nil
}

// Pending counts the steps of a handler that wait for a worker now, up to limit.
func (s *Store) Pending(ctx context.Context, handler string, limit int) (int, error) {
	var n int
	err := s.database.Reader.QueryRowContext(ctx,
		"SELECT count(*) FROM (SELECT 1 FROM steps WHERE state = 'pending' AND handler = $1 LIMIT $2) AS waiting", handler, limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("work: pending: %w", err)
	}
	return n, nil
}

// Unattended counts the pending and parked steps of handlers that are not among those given,
// as after a change of the configuration: nobody works on them.
func (s *Store) Unattended(ctx context.Context, handlers []string) (map[string]int, error) {
	rows, err := s.database.Reader.QueryContext(ctx, `SELECT handler, sum(n) FROM (
			SELECT handler, count(*) AS n FROM steps WHERE state = 'pending' GROUP BY handler
			UNION ALL
			SELECT handler, count(*) FROM steps WHERE parked_at IS NOT NULL GROUP BY handler
		) AS found GROUP BY handler`)
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
