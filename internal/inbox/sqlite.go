package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

const (
	maxChunk     = 64 // rows of the largest insert
	eventColumns = 11
)

// chunkSizes returns the numbers of rows for which there is a prepared insert. A batch is cut into these, largest first.
func chunkSizes() []int { return []int{maxChunk, 16, 4, 1} }

// insert is the prepared insert of so many events.
type insert struct {
	rows      int
	statement *sql.Stmt
}

// sqliteWriter is the one connection that writes the inbox in SQLite, with its prepared statements. One goroutine uses it.
type sqliteWriter struct {
	connection *sql.Conn
	inserts    []insert
	statements map[string]*sql.Stmt
	sequence   int64 // of the last event
	rejections rejectionBounds
	arguments  []any             // reused from chunk to chunk
	outbox     int64             // change of the outbox in the open transaction
	committed  func(delta int64) // receives the change of the outbox after each commit
}

// The statements of one row each.
const (
	sqlBegin    = "BEGIN IMMEDIATE"
	sqlCommit   = "COMMIT"
	sqlRollback = "ROLLBACK"
	sqlOutbox   = "INSERT INTO outbox (seq) SELECT seq FROM callbacks WHERE seq > $1"
	sqlFirst    = "SELECT id FROM callbacks WHERE job = $1 AND digest = $2"
	sqlRelayed  = "DELETE FROM outbox WHERE seq = $1"
	sqlAdvance  = database.AdvanceMark
	sqlProbe    = "INSERT INTO probe (id, written_at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET written_at = excluded.written_at"
	sqlReject   = "INSERT INTO rejections (received_at, code, detail, body) VALUES ($1, $2, $3, $4)"
	sqlOldest   = "SELECT seq, length(body) FROM rejections ORDER BY seq LIMIT 1"
	sqlForget   = "DELETE FROM rejections WHERE seq = $1"
	sqlLength   = "SELECT length(body) FROM rejections WHERE seq = $1"
	sqlPurged   = "DELETE FROM originals WHERE id = $1"
	sqlFind     = "SELECT seq, digest, received_at, source, origin, token_hash, removed_at FROM callbacks WHERE job = $1 AND id = $2"
	sqlTake     = "DELETE FROM callbacks WHERE seq = $1"
	sqlPutBack  = `INSERT INTO callbacks (seq, id, job, digest, received_at, body, source, origin, token_hash, removed_at)
			VALUES ($1, $2, $3, $4, $5, x'', $6, $7, $8, $9)`
	sqlExpire   = "DELETE FROM callbacks WHERE seq = $1 AND removed_at IS NOT NULL"
	sqlOriginal = "INSERT INTO originals (id, content_encoding, content_type, body) VALUES ($1, $2, $3, $4)"
)

func openSQLite(ctx context.Context, pool *sql.DB, config Config, committed func(delta int64)) (*sqliteWriter, error) {
	connection, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("inbox: open: %w", err)
	}
	w := &sqliteWriter{
		connection: connection,
		statements: map[string]*sql.Stmt{},
		rejections: rejectionBounds{maxCount: config.MaxRejections, maxBytes: int64(config.MaxRejectionsBytes)},
		arguments:  make([]any, 0, maxChunk*eventColumns),
		committed:  committed,
	}
	if err := errors.Join(w.prepare(ctx), w.resume(ctx)); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *sqliteWriter) prepare(ctx context.Context) error {
	for _, rows := range chunkSizes() {
		//nolint:gosec // nothing but numbered parameters is added
		text := "INSERT INTO callbacks (seq, id, job, digest, received_at, body, source, origin, token_hash, input, reference) VALUES " +
			database.Values(rows, eventColumns) + " ON CONFLICT (job, digest) DO NOTHING"
		statement, err := w.connection.PrepareContext(ctx, text)
		if err != nil {
			return fmt.Errorf("inbox: prepare: %w", err)
		}
		w.inserts = append(w.inserts, insert{rows, statement})
	}
	for _, text := range []string{
		sqlBegin, sqlCommit, sqlRollback, sqlOutbox, sqlFirst, sqlRelayed, sqlAdvance, sqlProbe, sqlReject, sqlOldest, sqlForget, sqlLength, sqlOriginal,
		sqlFind, sqlTake, sqlPutBack, sqlPurged, sqlRenew, sqlRenewed, sqlUnneeded, sqlExpire,
	} {
		statement, err := w.connection.PrepareContext(ctx, text)
		if err != nil {
			return fmt.Errorf("inbox: prepare: %w", err)
		}
		w.statements[text] = statement
	}
	return nil
}

// resume reads the last number and the size of the rejections.
func (w *sqliteWriter) resume(ctx context.Context) error {
	var err error
	if w.sequence, err = lastNumber(ctx, w.connection); err != nil {
		return err
	}
	row := w.connection.QueryRowContext(ctx, "SELECT count(*), coalesce(sum(length(body)), 0) FROM rejections")
	if err := row.Scan(&w.rejections.count, &w.rejections.bytes); err != nil {
		return fmt.Errorf("inbox: rejections: %w", err)
	}
	return nil
}

// close closes the statements and the connection; closing twice is no error. An open statement would keep the connection open,
// and SQLite would not write its log back into the file.
func (w *sqliteWriter) close() error {
	var errs []error
	for _, insert := range w.inserts {
		errs = append(errs, insert.statement.Close())
	}
	for _, statement := range w.statements {
		errs = append(errs, statement.Close())
	}
	w.inserts, w.statements = nil, nil
	if err := w.connection.Close(); !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// write commits entries in one transaction. It takes no context: a caller that stops waiting must not break off the commit of
// others. The busy timeout bounds the waits of SQLite.
func (w *sqliteWriter) write(entries []*entry) error {
	ctx := context.Background()
	if err := w.begin(ctx); err != nil {
		return err
	}
	sequence, rejections := w.sequence, w.rejections
	w.outbox = 0
	err := w.fill(ctx, newBatch(entries))
	if err == nil {
		_, err = w.statements[sqlCommit].ExecContext(ctx)
	}
	if err != nil {
		w.sequence, w.rejections = sequence, rejections
		return errors.Join(fmt.Errorf("inbox: commit: %w", err), w.rollback(ctx))
	}
	w.committed(w.outbox)
	return nil
}

// begin begins a transaction, also if the rollback of the one before failed.
func (w *sqliteWriter) begin(ctx context.Context) error {
	_, err := w.statements[sqlBegin].ExecContext(ctx)
	if err != nil && w.rollback(ctx) == nil {
		_, err = w.statements[sqlBegin].ExecContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("inbox: begin: %w", err)
	}
	return nil
}

// rollback ends a failed transaction. SQLite may have ended it, as on a full disk.
func (w *sqliteWriter) rollback(ctx context.Context) error {
	_, err := w.statements[sqlRollback].ExecContext(ctx)
	if err != nil && !database.IsNoTransaction(err) {
		return fmt.Errorf("inbox: rollback: %w", err)
	}
	return nil
}

func (w *sqliteWriter) fill(ctx context.Context, b batch) error {
	if err := w.removeRelayed(ctx, b.relayed); err != nil {
		return err
	}
	for _, r := range b.rejections {
		if err := w.storeRejection(ctx, r); err != nil {
			return err
		}
	}
	for _, sequence := range b.deleted {
		if err := w.deleteRejection(ctx, sequence); err != nil {
			return err
		}
	}
	if err := w.removeEvents(ctx, b); err != nil {
		return err
	}
	if err := w.renew(ctx, b); err != nil {
		return err
	}
	if b.probe {
		if _, err := w.statements[sqlProbe].ExecContext(ctx, time.Now().UnixMicro()); err != nil {
			return err
		}
	}
	if b.pages > 0 {
		if _, err := w.connection.ExecContext(ctx, database.Shrink(b.pages)); err != nil {
			return err
		}
	}
	return w.storeEvents(ctx, b.events)
}

// renew stores and deletes renewals.
func (w *sqliteWriter) renew(ctx context.Context, b batch) error {
	for _, r := range b.renewals {
		if _, err := w.statements[sqlRenew].ExecContext(ctx, r.id, r.job, r.urls, r.received); err != nil {
			return err
		}
	}
	for _, r := range b.renewed {
		if _, err := w.statements[sqlRenewed].ExecContext(ctx, r.id, r.urls); err != nil {
			return err
		}
	}
	return nil
}

func (w *sqliteWriter) removeRelayed(ctx context.Context, sequences []int64) error {
	if len(sequences) == 0 {
		return nil
	}
	for _, sequence := range sequences {
		if err := w.leaveOutbox(ctx, sqlRelayed, sequence); err != nil {
			return err
		}
	}
	_, err := w.statements[sqlAdvance].ExecContext(ctx, slices.Max(sequences))
	return err
}

// leaveOutbox runs a statement that deletes from the outbox, and counts what it has deleted.
func (w *sqliteWriter) leaveOutbox(ctx context.Context, statement string, arguments ...any) error {
	result, err := w.statements[statement].ExecContext(ctx, arguments...)
	if err != nil {
		return err
	}
	deleted, err := result.RowsAffected()
	w.outbox -= deleted
	return err
}
