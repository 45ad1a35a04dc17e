// Package database opens the stores with the settings that make them durable,
// and brings their schemas up to date. It is the only package that links a
// database driver.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // registers the driver "sqlite"
)

// SQLite is one database file with the two pools it is used through: SQLite
// has one writer at a time, so writes wait in our process, in order, and not in
// the file's lock; readers never wait for the writer (WAL).
type SQLite struct {
	Writer *sql.DB // one connection; transactions begin immediate
	Reader *sql.DB // several connections, read only
}

// writerPragmas are the settings of the writing connection, in the order in which
// SQLite must hear of them: without the busy timeout first, the others can fail on
// a file that is in use.
func writerPragmas() []string {
	return []string{
		"busy_timeout(10000)", // milliseconds; only another process can make us wait
		"journal_mode(WAL)",
		"synchronous(FULL)", // the log is synced before a commit returns
		"foreign_keys(1)",
		"journal_size_limit(67108864)", // bytes the log is cut back to after a checkpoint
		"cache_size(-8192)",            // KiB
		"wal_autocheckpoint(8192)",     // pages of 4 KiB: a page that changes often is moved once for many changes
		"temp_store(MEMORY)",
	}
}

func readerPragmas() []string {
	return []string{"busy_timeout(10000)", "query_only(1)", "cache_size(-2048)"}
}

// OpenSQLite opens the database file at path and creates it if it is missing;
// its folder must exist. Nobody else may read it: bodies hold the webhook's token.
func OpenSQLite(ctx context.Context, path string) (*SQLite, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("database: create %s: %w", path, err)
	}
	writer, err := openPool(ctx, dsn(path, "rwc", writerPragmas()), 1)
	if err != nil {
		return nil, fmt.Errorf("database: open %s: %w", path, err)
	}
	reader, err := openPool(ctx, dsn(path, "ro", readerPragmas()), max(2, runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database: open %s for reading: %w", path, err), writer.Close())
	}
	return &SQLite{Writer: writer, Reader: reader}, nil
}

// create makes an empty file for its owner alone; SQLite gives the files beside it the same mode.
func create(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

// OpenSQLiteReadOnly opens an existing file for reading alone, beside a process that may be writing it.
func OpenSQLiteReadOnly(ctx context.Context, path string) (*sql.DB, error) {
	reader, err := openPool(ctx, dsn(path, "ro", readerPragmas()), 1)
	if err != nil {
		return nil, fmt.Errorf("database: open %s for reading: %w", path, err)
	}
	return reader, nil
}

func openPool(ctx context.Context, dsn string, connections int) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections) // a connection is costly to open; keep what there is
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

func dsn(path, mode string, pragmas []string) string {
	query := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// Close closes both pools; the last one to close moves the log into the file.
func (s *SQLite) Close() error {
	return errors.Join(s.Reader.Close(), s.Writer.Close())
}

// Migrate brings the schema up to date with the numbered .sql files at the top of
// migrations, each in a transaction of its own, and returns the schema's version.
// A schema that is newer than the program is an error.
func (s *SQLite) Migrate(ctx context.Context, migrations fs.FS) (int64, error) {
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.Writer, migrations)
	if err != nil {
		return 0, fmt.Errorf("database: migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return 0, fmt.Errorf("database: migrate: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return 0, fmt.Errorf("database: schema version: %w", err)
	}
	if current > target {
		return current, fmt.Errorf("database: the schema is at version %d, this program knows up to %d: it was written by a newer release", current, target)
	}
	return current, nil
}

// Version reads the schema's version without changing anything; 0 means that there is no schema yet.
func Version(ctx context.Context, reader *sql.DB) (int64, error) {
	var version sql.NullInt64
	err := reader.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&version)
	if err != nil && isMissingTable(err) {
		return 0, nil
	}
	return version.Int64, err
}

func isMissingTable(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == 1
}

// IsFull says that a statement failed because there is no room left on the disk.
func IsFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == 13
}

// IsNoTransaction says that a rollback found nothing to roll back, because SQLite had done it by itself.
func IsNoTransaction(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no transaction is active")
}

// Placeholders writes rows groups of columns question marks each, for a multi-row insert.
func Placeholders(rows, columns int) string {
	text := make([]byte, 0, rows*(2*columns+2))
	for row := range rows {
		if row > 0 {
			text = append(text, ',')
		}
		text = append(text, '(')
		for column := range columns {
			if column > 0 {
				text = append(text, ',')
			}
			text = append(text, '?')
		}
		text = append(text, ')')
	}
	return string(text)
}
