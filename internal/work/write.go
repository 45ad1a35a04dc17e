package work

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

const (
	// maxBatch is how many operations share one transaction. Workers that begin or finish at the
	// same moment share its sync; the queue's own transactions have their turn between two.
	maxBatch = 64
	// writeTimeout is how long anybody waits for his operation.
	writeTimeout = 30 * time.Second
)

// operation is one change of the store, all of which happens or nothing. An
// operation that finds that it may not happen says so before it changes anything.
type operation struct {
	do  func(ctx context.Context, tx *sql.Tx) error
	err error // what do said
}

// write runs do in a transaction that it shares with others, and returns when that
// is safe. The context ends the wait, not an operation that has begun.
func (s *Store) write(ctx context.Context, name string, do func(ctx context.Context, tx *sql.Tx) error) error {
	o := &operation{do: do}
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
	err := s.transact(batch)
	if err == nil || len(batch) == 1 || database.IsFull(err) {
		return err
	}
	for i := range batch {
		if err := s.transact(batch[i : i+1]); err != nil {
			batch[i].err = err
		}
	}
	return nil
}

// transact runs operations in one transaction. It takes no context: a transaction
// that has begun is not broken off, and SQLite bounds its own waits.
func (s *Store) transact(batch []*operation) error {
	ctx := context.Background()
	tx, err := s.database.Writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, o := range batch {
		o.err = o.do(ctx, tx)
		if err = o.err; err != nil && !isVerdict(err) {
			break
		}
		err = nil
	}
	if err == nil {
		err = tx.Commit()
	}
	if err == nil {
		return nil
	}
	if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) && !database.IsNoTransaction(undo) {
		err = errors.Join(err, undo)
	}
	return err
}

// isVerdict says that an operation changed nothing because it may not, which is no fault of the transaction.
func isVerdict(err error) bool {
	_, early := errors.AsType[*NotYetError](err)
	return early || errors.Is(err, ErrNotFound) || errors.Is(err, ErrFinished) || errors.Is(err, ErrStale)
}
