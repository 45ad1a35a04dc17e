package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
)

// A SQLite file keeps the space of deleted rows for later ones. A file that is shrinkable (auto_vacuum = INCREMENTAL) returns it to
// the file system by PRAGMA incremental_vacuum, a few pages at a time. New files are; others become so by Compact, which writes
// them anew.

const (
	// incremental is the auto_vacuum mode of a shrinkable file.
	incremental = 2
	// minFreePages and freeShare are the pages that stay free, because later rows need them: 16 MiB, and a twentieth of the file.
	minFreePages = 4096
	freeShare    = 20
	// compactSuffix ends the name of a file that Compact has not finished.
	compactSuffix = ".compact"
)

// Surplus returns the number of pages that a SQLite file can return to the file system; 0 if there are few, the file is not
// shrinkable, or the database is in Postgres, which does that itself.
func (db *DB) Surplus(ctx context.Context) (pages int, err error) {
	if db.Kind == Postgres {
		return 0, nil
	}
	var mode, free, all int
	row := db.Reader.QueryRowContext(ctx, "SELECT auto_vacuum, freelist_count, page_count FROM pragma_auto_vacuum, pragma_freelist_count, pragma_page_count")
	if err := row.Scan(&mode, &free, &all); err != nil {
		return 0, fmt.Errorf("database: surplus: %w", err)
	}
	if mode != incremental {
		return 0, nil
	}
	return max(0, free-max(minFreePages, all/freeShare)), nil
}

// Shrink is the statement that returns up to so many pages of a SQLite file to the file system, in a transaction. The file gets
// shorter at the next checkpoint.
func Shrink(pages int) string { return "PRAGMA incremental_vacuum(" + strconv.Itoa(pages) + ")" }

// IsShrinkable reports whether an existing SQLite file is shrinkable, and its size in bytes. A file that is missing is.
func IsShrinkable(ctx context.Context, path string) (shrinkable bool, bytes int64, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return true, 0, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("database: %w", err)
	}
	reader, err := OpenSQLiteReadOnly(ctx, path)
	if err != nil { // a process that was killed while it created the file leaves a journal that only a writer plays back
		reader, err = openFile(ctx, dsn(path, "rw", []string{"busy_timeout(10000)"}), 1)
	}
	if err != nil {
		return false, 0, fmt.Errorf("database: open %s: %w", path, damaged(err))
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	var mode int
	if err := reader.QueryRowContext(ctx, "PRAGMA auto_vacuum").Scan(&mode); err != nil {
		return false, 0, fmt.Errorf("database: %s: %w", path, damaged(err))
	}
	return mode == incremental, info.Size(), nil
}

// Compact writes a SQLite file anew, without its free space and shrinkable. No process may use it. The disk needs space for the
// copy, which gets the name of the file when it is whole, checked and synced: a crash leaves the one or the other.
func Compact(ctx context.Context, path string) error {
	target := path + compactSuffix
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("database: compact: %w", err)
	}
	if err := writeBack(ctx, path); err != nil {
		return err
	}
	if err := CopySQLite(ctx, path, target); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err == nil {
		err = os.Rename(target, path)
	}
	if err == nil {
		err = filesystem.TrySyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("database: compact %s: %w", path, err)
	}
	return nil
}

// writeBack writes the log of a file back into it and removes the log: it must not be applied to another file.
func writeBack(ctx context.Context, path string) error {
	writer, err := openFile(ctx, dsn(path, "rw", writerPragmas()), 1)
	if err != nil {
		return fmt.Errorf("database: open %s: %w", path, damaged(err))
	}
	err = errors.Join(writeLogBack(ctx, writer), writer.Close())
	if err == nil {
		if _, found := os.Stat(path + "-wal"); found == nil {
			err = errors.New("another process uses it")
		}
	}
	if err != nil {
		return fmt.Errorf("database: compact %s: %w", path, err)
	}
	return nil
}

func writeLogBack(ctx context.Context, writer *sql.DB) error {
	_, err := writer.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}
