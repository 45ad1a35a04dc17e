package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/groupcommit"
)

const (
	// maxBatch is how many operations share one transaction at most. In SQLite the queue's own
	// transactions run between two batches, so a batch must not take long.
	maxBatch = 64
	// postgresWriters is the number of concurrent transactions in Postgres. SQLite has one writer.
	postgresWriters = 4
	// writeTimeout bounds one operation, waiting included.
	writeTimeout = 30 * time.Second
)

// Writer runs the write transactions of one database. Operations that arrive at the same moment share a transaction and
// its sync. All stores of one database must share one Writer, otherwise their operations compete for the
// lock of SQLite instead of sharing a sync. It is safe for use by many goroutines.
type Writer struct {
	DB *DB

	committer *groupcommit.Committer[*operation]
	commits   atomic.Int64
	committed atomic.Int64 // when, in microseconds since 1970
}

// operation is one change of the database: all of it is committed, or nothing.
type operation struct {
	table, id string // the row to lock first; "" for none
	do        func(ctx context.Context, tx *sql.Tx) error
	err       error // what do returned
}

// NewWriter starts the goroutines that write to db. Close stops them.
func NewWriter(db *DB) *Writer {
	writers := 1
	if db.Kind == Postgres {
		writers = postgresWriters
	}
	w := &Writer{DB: db}
	w.committer = groupcommit.Start(groupcommit.Limits{Entries: maxBatch, Wait: writeTimeout, Writers: writers}, nil, w.writeBatch)
	return w
}

// Close commits what is queued and stops the goroutines. It leaves the database open.
func (w *Writer) Close() error {
	w.committer.Stop()
	return nil
}

// Commits returns the number of transactions that were committed since NewWriter.
func (w *Writer) Commits() int64 { return w.commits.Load() }

// LastCommit returns when a transaction was last committed and synced; zero if none was since NewWriter.
func (w *Writer) LastCommit() time.Time { return FromMicros(w.committed.Load()) }

func (w *Writer) countCommit() {
	w.commits.Add(1)
	w.committed.Store(time.Now().UnixMicro())
}

// Write runs do in a transaction that it may share with other operations, and returns when that is committed and synced.
// ctx ends the wait, not an operation that has begun. name prefixes the error. do must be repeatable, and must
// return a refusal (see Refuse) only if it has changed nothing.
func (w *Writer) Write(ctx context.Context, name string, do func(ctx context.Context, tx *sql.Tx) error) error {
	return w.WriteRow(ctx, name, "", "", do)
}

// WriteRow is Write, and locks the row of table with this id before it runs do.
func (w *Writer) WriteRow(ctx context.Context, name, table, id string, do func(ctx context.Context, tx *sql.Tx) error) error {
	o := &operation{table: table, id: id, do: do}
	if err := w.committer.Commit(ctx, o); err != nil {
		return Wrap(name, err)
	}
	return Wrap(name, o.err)
}

// Exec runs one statement in a transaction of its own, which holds no other lock, and returns the number of rows it changed.
func (w *Writer) Exec(ctx context.Context, statement string, arguments ...any) (rows int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	result, err := w.DB.Writer.ExecContext(ctx, statement, arguments...)
	if err != nil {
		return 0, err
	}
	w.countCommit()
	return result.RowsAffected()
}

// writeBatch runs operations in one transaction, or, if one of them breaks it, each in its own.
func (w *Writer) writeBatch(batch []*operation) error {
	// The operations run in the order of their ids, in which they may lock further rows.
	slices.SortStableFunc(batch, func(a, b *operation) int { return cmp.Compare(a.id, b.id) })
	err := w.transact(batch)
	if err == nil || !IsOwnFault(err) {
		return err
	}
	for i := range batch {
		if err := w.transact(batch[i : i+1]); err != nil { // a refusal is in batch[i].err already
			batch[i].err = err
		}
	}
	return nil
}

// transact runs operations in one transaction. It has no context of a caller, because a caller whose
// context ends must not roll back the operations of others.
func (w *Writer) transact(batch []*operation) error {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if w.DB.Kind == Postgres { // SQLite has its busy timeout
		ctx, cancel = context.WithTimeout(ctx, writeTimeout)
	}
	defer cancel()
	tx, err := w.DB.Writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = w.run(ctx, tx, batch)
	if err == nil {
		err = tx.Commit()
	}
	if err == nil {
		w.countCommit()
		return nil
	}
	if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) && !IsNoTransaction(undo) {
		err = errors.Join(err, undo)
	}
	return err
}

// lock locks the rows of the operations, those of one table with one statement. Tables and rows have an order, so that concurrent
// transactions do not deadlock.
func (w *Writer) lock(ctx context.Context, tx *sql.Tx, batch []*operation) error {
	if w.DB.Kind == SQLite {
		return nil
	}
	rows := map[string][]string{}
	for _, o := range batch {
		if o.id != "" {
			rows[o.table] = append(rows[o.table], o.id)
		}
	}
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		//nolint:gosec // table is a constant of the caller
		if _, err := tx.ExecContext(ctx, "SELECT 1 FROM "+table+" WHERE id = ANY($1) ORDER BY id FOR UPDATE", rows[table]); err != nil {
			return err
		}
	}
	return nil
}

// run locks the rows of the operations and runs each. It returns the first error that is not a refusal.
func (w *Writer) run(ctx context.Context, tx *sql.Tx, batch []*operation) error {
	if err := w.lock(ctx, tx, batch); err != nil {
		return err
	}
	for _, o := range batch {
		o.err = nil
		err := o.do(ctx, tx)
		if err != nil && !isRefusal(err) {
			return err
		}
		o.err = err
	}
	return nil
}
