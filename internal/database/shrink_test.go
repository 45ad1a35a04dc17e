package database_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
)

const pageBytes = 4096

// A file shrinks when rows are deleted: a new one by itself, one of an earlier version after Compact.
func TestShrink(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		old        bool
		shrinkable bool
	}{
		{name: "new", shrinkable: true},
		{name: "of an earlier version", old: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "test.db")
			db := fill(t, path, row.old)
			surplus, err := db.Surplus(t.Context())
			if err != nil || (surplus > 0) != row.shrinkable {
				t.Errorf("Surplus() = %d, %v; want some: %v", surplus, err, row.shrinkable)
			}
			wantShrinkableCopy(t, path)
			closed(t, db)
			if row.old {
				if err := database.Compact(t.Context(), path); err != nil {
					t.Fatal(err)
				}
			}
			shrinkable, _, err := database.IsShrinkable(t.Context(), path)
			if err != nil || !shrinkable {
				t.Errorf("IsShrinkable() = %v, %v; want true", shrinkable, err)
			}
			db = opened(t, path)
			defer closed(t, db)
			before := size(t, path)
			if _, err := db.Writer.ExecContext(t.Context(), database.Shrink(1_000_000)+"; PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
				t.Fatal(err)
			}
			if after := size(t, path); after > 100*pageBytes {
				t.Errorf("size after = %d, before %d; want less than 100 pages", after, before)
			}
			var rows int
			if err := db.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM filler").Scan(&rows); err != nil || rows != 10 {
				t.Errorf("rows = %d, %v; want 10", rows, err)
			}
		})
	}
}

// wantShrinkableCopy copies a file that is open.
func wantShrinkableCopy(t *testing.T, path string) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "copy.db")
	if err := database.CopySQLite(t.Context(), path, target); err != nil {
		t.Fatal(err)
	}
	if shrinkable, _, err := database.IsShrinkable(t.Context(), target); err != nil || !shrinkable {
		t.Errorf("IsShrinkable() of a copy = %v, %v; want true", shrinkable, err)
	}
}

// A file that does not exist is shrinkable: it will be made so. One that another process uses is not written anew.
func TestCompactRefusesAFileInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	shrinkable, _, err := database.IsShrinkable(t.Context(), path)
	if err != nil || !shrinkable {
		t.Errorf("IsShrinkable() = %v, %v; want true", shrinkable, err)
	}
	db := fill(t, path, true)
	defer closed(t, db)
	if err := database.Compact(t.Context(), path); err == nil {
		t.Error("Compact() = no error, want one: the file is open")
	}
	if _, err := os.Stat(path + ".compact"); err == nil {
		t.Error("an unfinished copy is left, want none")
	}
}

// fill makes a file with 10 rows left of 60 MB.
func fill(t *testing.T, path string, old bool) *database.DB {
	t.Helper()
	db := opened(t, path)
	statements := []string{
		"CREATE TABLE filler (id INTEGER PRIMARY KEY, body BLOB)",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) INSERT INTO filler SELECT i, zeroblob(100000) FROM n",
		"DELETE FROM filler WHERE id > 10",
		"UPDATE filler SET body = x''",
	}
	if old {
		statements = append([]string{"PRAGMA auto_vacuum = 0", "VACUUM"}, statements...)
	}
	for _, statement := range statements {
		if _, err := db.Writer.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func opened(t *testing.T, path string) *database.DB {
	t.Helper()
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closed(t *testing.T, db *database.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
