package work

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

const (
	// maxBatch is how many operations share one transaction. Workers that begin or finish at the
	// same moment share its sync; in SQLite the queue's own transactions have their turn between two.
	maxBatch = 64
	// postgresWriters is how many transactions are under way at the same moment in Postgres.
	postgresWriters = 4
	// writeTimeout is how long anybody waits for his operation.
	writeTimeout = 30 * time.Second
)

// operation is one change of the store, all of which happens or nothing. An
// operation that finds that it may not happen says so before it changes anything.
type operation struct {
	event event.ID // that it changes; "" when it only adds events
	do    func(ctx context.Context, tx *sql.Tx) error
	err   error // what do said
}

// writers is how many transactions can be under way at the same moment.
func writers(db *database.DB) int {
	if db.Kind == database.Postgres {
		return postgresWriters
	}
	return 1
}

// write runs do in a transaction that it shares with others, and returns when that
// is safe. The context ends the wait, not an operation that has begun.
func (s *Store) write(ctx context.Context, name string, id event.ID, do func(ctx context.Context, tx *sql.Tx) error) error {
	o := &operation{event: id, do: do}
	if err := s.committer.Commit(ctx, o); err != nil {
		return fmt.Errorf("work: %s: %w", name, err)
	}
	if o.err != nil {
		return fmt.Errorf("work: %s: %w", name, o.err)
	}
	return nil
}

// writeBatch runs operations in one transaction, or, if one of them breaks it, each in its own.
func (s *Store) writeBatch(batch []*operation) error {
	// Whoever locks rows in the same order as everybody else waits for them, but never for ever.
	slices.SortStableFunc(batch, func(a, b *operation) int { return cmp.Compare(a.event, b.event) })
	err := s.transact(batch)
	if err == nil || !database.IsOwnFault(err) {
		return err
	}
	for i := range batch {
		batch[i].err = s.transact(batch[i : i+1])
	}
	return nil
}

// transact runs operations in one transaction. It takes no context from those who wait: a
// transaction that has begun is not broken off because one of them lost patience.
func (s *Store) transact(batch []*operation) error {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if s.database.Kind == database.Postgres { // SQLite bounds its own waits
		ctx, cancel = context.WithTimeout(ctx, writeTimeout)
	}
	defer cancel()
	tx, err := s.database.Writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = s.run(ctx, tx, batch)
	if err == nil {
		err = tx.Commit()
	}
	if err == nil {
		s.writes.Add(1)
		return nil
	}
	if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) && !database.IsNoTransaction(undo) {
		err = errors.Join(err, undo)
	}
	return err
}

// run lets every operation have its event for itself and do its work.
func (s *Store) run(ctx context.Context, tx *sql.Tx, batch []*operation) error {
	for _, o := range batch {
		o.err = nil
		if o.event != "" {
			if err := s.database.Lock(ctx, tx, "events", string(o.event)); err != nil {
				return err
			}
		}
		err := o.do(ctx, tx)
		if err != nil && !isVerdict(err) {
			return err
		}
		o.err = err
	}
	return nil
}

// isVerdict says that an operation changed nothing because it may not, which is no fault of the transaction.
func isVerdict(err error) bool {
	_, early := errors.AsType[*NotYetError](err)
	return early || errors.Is(err, ErrNotFound) || errors.Is(err, ErrFinished) || errors.Is(err, ErrStale)
}

// text makes a stranger's words fit for a text column: valid UTF-8, and without the zero byte that Postgres refuses.
func text(words string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(words, "\uFFFD"), "\x00", "\uFFFD")
}
