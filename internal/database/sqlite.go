package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"time"
)

// SQLite has one writer at a time. Writes of this process wait in the pool, in order, and not for
// the lock of the file. Readers never wait for the writer (WAL).

// writerPragmas returns the settings of the writing connection. The busy timeout comes first, because without it the others can fail
// on a file that is in use.
func writerPragmas() []string {
	return []string{
		"busy_timeout(10000)", // milliseconds; for the lock of another process
		"auto_vacuum(2)",      // of a new file: its free space can be returned to the file system; see Compact for others
		"journal_mode(WAL)",
		"synchronous(FULL)", // the log is synced before a commit returns
		"foreign_keys(1)",
		"journal_size_limit(67108864)", // bytes; the log is truncated to this after a checkpoint
		"cache_size(-8192)",            // KiB
		"wal_autocheckpoint(8192)",     // pages of 4 KiB; a high value writes a page that changes often only once
		"temp_store(MEMORY)",
	}
}

func readerPragmas() []string {
	return []string{"busy_timeout(10000)", "query_only(1)", "cache_size(-2048)"}
}

// OpenSQLite opens the database file at path and creates it if it is missing; its folder must exist. Check may find later that it is
// damaged. Only the owner may read the file, because bodies can hold the token of the webhook.
func OpenSQLite(ctx context.Context, path string) (*DB, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("database: create %s: %w", path, err)
	}
	opener, err := newWriterConnector(dsn(path, "rwc", writerPragmas()))
	if err != nil {
		return nil, fmt.Errorf("database: open %s: %w", path, err)
	}
	writer, err := openPool(ctx, opener, 1)
	if err != nil {
		return nil, fmt.Errorf("database: open %s: %w", path, damaged(err))
	}
	reader, err := openFile(ctx, dsn(path, "ro", readerPragmas()), max(2, runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database: open %s for reading: %w", path, err), writer.Close())
	}
	db := &DB{Kind: SQLite, path: path, Writer: writer, Reader: reader, ended: opener.ended, clock: &clock{}}
	db.AdoptClock(localReading())
	complete, err := db.quickCheck(ctx, openCheckTimeout)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.unchecked = !complete
	return db, nil
}

// checkpointTimeout bounds the wait for the log to be written back.
const checkpointTimeout = 30 * time.Second

// checkpoint writes the log back into the file and empties it. What another process reads, or a full disk has no space for, stays in the log.
func checkpoint(writer *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkpointTimeout)
	defer cancel()
	if _, err := writer.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil && !IsFull(err) && !isDamaged(err) {
		return fmt.Errorf("database: checkpoint: %w", err)
	}
	return nil
}

// ErrDamaged reports a file whose structure is damaged.
var ErrDamaged = errors.New("the database file is damaged; restore it from a backup, together with the other files of its folder")

// damaged adds ErrDamaged to an error that means it.
func damaged(err error) error {
	if isDamaged(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// create makes an empty file that only its owner may read. SQLite uses the same mode for the files beside it.
func create(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

// OpenSQLiteReadOnly opens an existing file read only. Another process may write it.
func OpenSQLiteReadOnly(ctx context.Context, path string) (*sql.DB, error) {
	reader, err := openFile(ctx, dsn(path, "ro", readerPragmas()), 1)
	if err != nil {
		return nil, fmt.Errorf("database: open %s for reading: %w", path, err)
	}
	return reader, nil
}

func openFile(ctx context.Context, dsn string, connections int) (*sql.DB, error) {
	opener, err := newConnector(dsn)
	if err != nil {
		return nil, err
	}
	return openPool(ctx, opener, connections)
}

func openPool(ctx context.Context, opener connector, connections int) (*sql.DB, error) {
	pool := sql.OpenDB(opener)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections) // opening a connection is expensive
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

func dsn(path, mode string, pragmas []string) string {
	query := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// CopySQLite writes a compact and shrinkable copy of an existing file, as it is at one moment, to target, which must not exist. Another process
// may write the file. The copy is checked, but not synced. One that is not whole is removed.
func CopySQLite(ctx context.Context, path, target string) (err error) {
	source, err := openFile(ctx, dsn(path, "ro", []string{"busy_timeout(10000)"}), 1)
	if err != nil {
		return fmt.Errorf("database: open %s for reading: %w", path, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if err := copyShrinkable(ctx, source); err != nil {
		return fmt.Errorf("database: copy %s: %w", path, damaged(err))
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("database: create %s: %w", target, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(target))
		}
	}()
	if err := file.Close(); err != nil {
		return fmt.Errorf("database: create %s: %w", target, err)
	}
	if _, err := source.ExecContext(ctx, "VACUUM INTO $1", target); err != nil {
		return fmt.Errorf("database: copy %s: %w", path, damaged(err))
	}
	problems, err := Integrity(ctx, target)
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("database: the copy of %s: %w: %s", path, ErrDamaged, problems[0])
	}
	return err
}

// copyShrinkable makes copies of a file by the connection shrinkable. Copies of a file that is shrinkable are, and setting its mode
// again would write the file.
func copyShrinkable(ctx context.Context, source *sql.DB) error {
	var mode int
	err := source.QueryRowContext(ctx, "PRAGMA auto_vacuum").Scan(&mode)
	if err == nil && mode != incremental {
		_, err = source.ExecContext(ctx, "PRAGMA auto_vacuum = 2")
	}
	return err
}

// Integrity reads a whole file and returns what is wrong with its structure, at most 100 sentences of SQLite.
func Integrity(ctx context.Context, path string) (problems []string, err error) {
	file, err := OpenSQLiteReadOnly(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	rows, err := Query(ctx, file, "PRAGMA integrity_check")
	if err == nil {
		err = rows.ForEach(func() error {
			var text string
			err := rows.Scan(&text)
			if text != "ok" {
				problems = append(problems, text)
			}
			return err
		})
	}
	if isDamaged(err) {
		return append(problems, err.Error()), nil
	}
	return problems, Wrap("database: integrity of "+path, err)
}
