package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/rs/zerolog"
)

// F13: a removed or replaced lock file lets no second receiver start.
func TestRemovedLock(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		harm func(lock string) error
	}{
		{name: "F13 removed", harm: os.Remove},
		{name: "F13 replaced", harm: func(lock string) error {
			return errors.Join(os.Remove(lock), os.WriteFile(lock, nil, 0o600))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := configuration(t, databasetest.NewPlace(t, database.SQLite))
			start(t, c)
			if err := row.harm(filepath.Join(c.DatabaseFolder(), "lock")); err != nil {
				t.Fatal(err)
			}
			if _, err := app.New(t.Context(), c, zerolog.Nop()); !errors.Is(err, app.ErrInUse) {
				t.Errorf("second receiver: error = %v, want %v", err, app.ErrInUse)
			}
		})
	}
}

// F13: the lock file is made again, and a folder that another process has locked meanwhile is lost.
func TestLockFileIsRestored(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	lock := filepath.Join(folder, "lock")
	held, err := app.OpenDataFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := held.RestoreLock(); err != nil {
			t.Errorf("RestoreLock() = %v, want no error", err)
		}
		if _, err := os.Stat(lock); err != nil {
			t.Errorf("lock file: %v, want it", err)
		}
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
	}
	other, err := app.LockFile(folder)
	if err != nil || other == nil {
		t.Fatalf("LockFile() = %v, %v, want the lock", other, err)
	}
	if err := held.RestoreLock(); !errors.Is(err, app.ErrInUse) {
		t.Errorf("RestoreLock() = %v, want %v", err, app.ErrInUse)
	}
	if err := errors.Join(other.Close(), held.Close()); err != nil {
		t.Error(err)
	}
}

// F13: a missing folder is not called a full disk; C9: neither is a lack of space in the folder of images a reason to refuse callbacks.
func TestUnavailableFolders(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, row := range []struct {
		name    string
		path    string
		minFree uint64
		want    string
	}{
		{name: "F13 missing", path: missing, want: "The data folder is missing."},
		{name: "F13 full", path: t.TempDir(), minFree: 1 << 62, want: "The disk is full."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := app.Unavailable(row.path, row.minFree); got != row.want {
				t.Errorf("detail = %q, want %q", got, row.want)
			}
		})
	}
	if err := app.CheckFolder(t.Context(), missing, 1); err == nil {
		t.Error("CheckFolder(missing) = nil, want an error")
	}
	if err := app.CheckFolder(t.Context(), t.TempDir(), 1); err != nil {
		t.Errorf("CheckFolder() = %v, want no error", err)
	}
}
