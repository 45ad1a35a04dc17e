package database_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// largeFile returns the path of a closed file with a table of so many MiB.
func largeFile(t *testing.T, mebibytes int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large.db")
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE TABLE rows (n INTEGER PRIMARY KEY, content BLOB)", "CREATE INDEX rows_content ON rows (content)",
		"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1024 * $1) INSERT INTO rows SELECT n, randomblob(300) FROM numbers",
	} {
		if _, err := db.Writer.ExecContext(t.Context(), statement, mebibytes); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A damage is found at the opening, or soon after it in a large file.
func TestDamageIsFoundAfterTheOpening(t *testing.T) {
	t.Parallel()
	path := largeFile(t, 1)
	for _, row := range []struct {
		name    string
		damaged bool
	}{{name: "whole"}, {name: "damaged", damaged: true}} {
		if row.damaged {
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			info, err := file.Stat()
			if err == nil {
				_, err = file.WriteAt(make([]byte, 4096), info.Size()/4096/2*4096)
			}
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
		}
		db, err := database.OpenSQLite(t.Context(), path)
		if err == nil {
			err = db.Check(t.Context())
		}
		if got := errors.Is(err, database.ErrDamaged); got != row.damaged || !row.damaged && err != nil {
			t.Errorf("%s: error = %v, want damaged = %t", row.name, err, row.damaged)
		}
		if db != nil {
			if err := db.Close(); err != nil {
				t.Errorf("%s: Close() error = %v", row.name, err)
			}
		}
	}
}
