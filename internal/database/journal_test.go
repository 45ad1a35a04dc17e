package database_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// F15: a process that is killed while it creates the file, before there is a log, leaves a journal that must be played back.
func TestOpenSQLiteAfterKillInCreation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Reader.Close(); err != nil { // or the journal could not be changed
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE TABLE kept (n INTEGER)", "INSERT INTO kept VALUES (1)", "PRAGMA journal_mode = DELETE", "PRAGMA cache_size = 1", "BEGIN IMMEDIATE",
		"CREATE TABLE lost AS WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3000) SELECT n, randomblob(500) AS b FROM s",
	} {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	killed := filepath.Join(t.TempDir(), "events.db")
	for _, suffix := range []string{"", "-journal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(killed+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Writer.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close() // its reader is closed already
	if shrinkable, _, err := database.IsShrinkable(t.Context(), killed); err != nil || !shrinkable {
		t.Errorf("shrinkable = %v, error %v, want true", shrinkable, err)
	}
	again, err := database.OpenSQLite(t.Context(), killed)
	if err != nil {
		t.Fatalf("open: error = %v, want none", err)
	}
	defer again.Close()
	var n int
	if err := again.Reader.QueryRowContext(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 1 {
		t.Errorf("row = %d, error %v, want 1", n, err)
	}
}
