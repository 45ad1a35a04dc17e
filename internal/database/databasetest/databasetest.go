// Package databasetest opens a fresh database for every test.
package databasetest

import (
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// SQLite opens a new, empty database file that is closed when the test ends.
func SQLite(t testing.TB) *database.SQLite {
	t.Helper()
	db, err := database.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
