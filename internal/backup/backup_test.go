package backup_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/backup"
	"github.com/deepimage-receiver/receiver/internal/database"
)

const token = "the-token-of-the-backup\n"

// receiver returns the paths of a receiver whose databases and whose token are in two folders.
func receiver(t *testing.T) backup.Files {
	t.Helper()
	databases := t.TempDir()
	return backup.Files{
		Inbox: filepath.Join(databases, "inbox.db"), Work: filepath.Join(databases, "work.db"), Token: filepath.Join(t.TempDir(), "data", "webhook-token"),
	}
}

// stopped returns a receiver that has both databases and a token.
func stopped(t *testing.T) backup.Files {
	t.Helper()
	files := receiver(t)
	for _, path := range []string{files.Inbox, files.Work} {
		db, err := database.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Writer.ExecContext(t.Context(), "CREATE TABLE filler AS SELECT randomblob(100000) AS bytes"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	write(t, files.Token, token)
	return files
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func save(t *testing.T) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "saved")
	if _, err := backup.Save(t.Context(), stopped(t), folder, "test"); err != nil {
		t.Fatal(err)
	}
	return folder
}

// A backup that fails, as on a full disk, leaves nothing in its folder, so that it can be repeated.
func TestSaveRemovesWhatItCopied(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	files := stopped(t)
	inbox, err := os.ReadFile(files.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	write(t, files.Inbox, string(inbox[:8192])) // the work store was copied before
	if _, err := backup.Save(t.Context(), files, folder, "test"); err == nil {
		t.Fatal("Save() = no error, want one for the damaged inbox")
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("files in the folder = %v, error %v; want none", left, err)
	}
	write(t, files.Inbox, string(inbox))
	if _, err := backup.Save(t.Context(), files, folder, "test"); err != nil {
		t.Errorf("Save() again: error = %v", err)
	}
}

func TestRestoreToken(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		before  func(t *testing.T, to backup.Files)
		wantErr error
	}{
		{name: "no data folder", before: func(*testing.T, backup.Files) {}},
		{name: "the same token", before: func(t *testing.T, to backup.Files) { t.Helper(); write(t, to.Token, token) }},
		{
			name:    "another token",
			before:  func(t *testing.T, to backup.Files) { t.Helper(); write(t, to.Token, "another-token\n") },
			wantErr: backup.ErrOtherToken,
		},
		{name: "killed while it copied the token", before: func(t *testing.T, to backup.Files) {
			t.Helper()
			write(t, to.Token+".restore", token[:5])
			write(t, to.Inbox+".restore", "a part")
			write(t, to.Work+".restore", "a part")
		}},
		{name: "killed before the inbox got its name", before: func(t *testing.T, to backup.Files) {
			t.Helper()
			write(t, to.Token, token)
			write(t, to.Inbox+".restore", "a part")
			write(t, to.Work, "whole")
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			folder, to := save(t), receiver(t)
			row.before(t, to)
			_, err := backup.Restore(t.Context(), folder, to)
			if !errors.Is(err, row.wantErr) {
				t.Fatalf("Restore() = %v, want %v", err, row.wantErr)
			}
			if row.wantErr != nil {
				if _, err := os.Stat(to.Inbox); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("inbox: error = %v, want that there is none", err)
				}
				return
			}
			if got, err := os.ReadFile(to.Token); err != nil || string(got) != token {
				t.Errorf("token = %q, error %v; want %q", got, err, token)
			}
			for _, path := range []string{to.Inbox, to.Work} {
				if problems, err := database.Integrity(t.Context(), path); err != nil || len(problems) > 0 {
					t.Errorf("%s: problems = %v, error %v; want none", filepath.Base(path), problems, err)
				}
			}
			for _, path := range []string{to.Inbox, to.Work, to.Token} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: mode = %v, error %v; want 0600", filepath.Base(path), info, err)
				}
				if _, err := os.Stat(path + ".restore"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s.restore: error = %v, want that there is none", filepath.Base(path), err)
				}
			}
		})
	}
}

// A backup that is cancelled leaves nothing.
func TestSaveCancelled(t *testing.T) {
	t.Parallel()
	files, folder := stopped(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup.Save(ctx, files, folder, "test"); !errors.Is(err, context.Canceled) {
		t.Errorf("Save() = %v, want %v", err, context.Canceled)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("files in the folder = %v, error %v; want none", left, err)
	}
}
