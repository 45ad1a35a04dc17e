package database

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"time"
)

// Usage is what a database takes on its disk.
type Usage struct {
	Bytes int64 // without the log
	// Log is the size of the write-ahead log, -1 if it is not known: Postgres shows it to members of pg_monitor only. It belongs to the
	// whole server there.
	Log        int64
	Checkpoint time.Time // when the log was last written back; zero if it is not known
}

// Usage measures the database. In SQLite it looks at the files: only a checkpoint writes the one that is not the log.
func (db *DB) Usage(ctx context.Context) (Usage, error) {
	if db.Kind == Postgres {
		usage, err := db.serverUsage(ctx)
		return usage, Wrap("database: usage", err)
	}
	file, err := os.Stat(db.path)
	if err != nil {
		return Usage{}, Wrap("database: usage", err)
	}
	usage := Usage{Bytes: file.Size(), Checkpoint: file.ModTime()}
	log, err := os.Stat(db.path + "-wal")
	if err == nil {
		usage.Log = log.Size()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Usage{}, Wrap("database: usage", err)
	}
	return usage, nil
}

// serverUsage asks only for what the account may see, because the server logs each refusal.
func (db *DB) serverUsage(ctx context.Context) (Usage, error) {
	usage := Usage{Log: -1}
	var seesLog, seesCheckpoint bool
	err := db.Reader.QueryRowContext(ctx, `SELECT pg_database_size(current_database()),
		has_function_privilege('pg_catalog.pg_ls_waldir()', 'execute'),
		has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute')`).Scan(&usage.Bytes, &seesLog, &seesCheckpoint)
	if err == nil && seesLog {
		err = db.Reader.QueryRowContext(ctx, "SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM pg_ls_waldir()").Scan(&usage.Log)
	}
	if err == nil && seesCheckpoint {
		var at sql.NullTime
		err = db.Reader.QueryRowContext(ctx, "SELECT checkpoint_time FROM pg_control_checkpoint()").Scan(&at)
		usage.Checkpoint = at.Time
	}
	return usage, err
}
