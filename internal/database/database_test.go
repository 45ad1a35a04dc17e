package database_test

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

func schema(versions ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, v := range versions {
		for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
			files["migrations/"+kind.String()+"/"+v+"_t.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE t" + v + " (n INTEGER);\n")}
		}
	}
	return files
}

func TestSettingsAreInForce(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	rows := []struct {
		pool         *sql.DB
		pragma, want string
	}{
		{db.Writer, "journal_mode", "wal"},
		{db.Writer, "synchronous", "2"}, // FULL
		{db.Writer, "busy_timeout", "10000"},
		{db.Writer, "foreign_keys", "1"},
		{db.Reader, "query_only", "1"},
		{db.Reader, "busy_timeout", "10000"},
	}
	for _, row := range rows {
		var got string
		if err := row.pool.QueryRowContext(t.Context(), "PRAGMA "+row.pragma).Scan(&got); err != nil || got != row.want {
			t.Errorf("%s = %q, error %v; want %q", row.pragma, got, err, row.want)
		}
	}
}

func TestMigrateIsVersioned(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, migrateIsVersioned)
}

func migrateIsVersioned(t *testing.T, place *databasetest.Place) {
	db := place.Open(t).Work
	if version, err := database.Version(t.Context(), db.Reader, db.Kind, "test"); err != nil || version != 0 {
		t.Errorf("version before = %d, error %v; want 0", version, err)
	}
	steps := []struct {
		name    string
		files   fstest.MapFS
		version int64
		failure string
	}{
		{name: "first", files: schema("00001"), version: 1},
		{name: "again", files: schema("00001"), version: 1},
		{name: "newer", files: schema("00001", "00002"), version: 2},
		{name: "older program", files: schema("00001"), version: 2, failure: "newer release"},
	}
	for _, step := range steps {
		version, err := db.Migrate(t.Context(), step.files, "test")
		if version != step.version || (err == nil) != (step.failure == "") || err != nil && !strings.Contains(err.Error(), step.failure) {
			t.Errorf("%s: version = %d, error %v; want %d and an error with %q", step.name, version, err, step.version, step.failure)
		}
	}
	if version, err := database.Version(t.Context(), db.Reader, db.Kind, "test"); err != nil || version != 2 {
		t.Errorf("version after = %d, error %v; want 2", version, err)
	}
}

// Characters of a path that have a meaning in connection strings are escaped.
func TestPathsAreTakenLiterally(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain.db", "with space.db", "a?b=c.db", "100%.db", "a#b.db", "ü.db"} {
		path := filepath.Join(t.TempDir(), name)
		db, err := database.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := db.Migrate(t.Context(), schema("00001"), "test"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		reader, err := database.OpenSQLiteReadOnly(t.Context(), path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if version, err := database.Version(t.Context(), reader, database.SQLite, "test"); err != nil || version != 1 {
			t.Errorf("%s: version = %d, error %v; want 1", name, version, err)
		}
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOnlyTheOwnerCanReadFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Migrate(t.Context(), schema("00001"), "test"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the file%s = %v, error %v; want 0600", suffix, info, err)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	if got := database.Values(2, 3); got != "($1,$2,$3),($4,$5,$6)" {
		t.Errorf("Values(2, 3) = %s, want ($1,$2,$3),($4,$5,$6)", got)
	}
}

// TestCloseWritesTheLogBack is fault F1: a copy of the file alone, made after a clean stop, has everything that was committed.
func TestCloseWritesTheLogBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"CREATE TABLE rows (n INTEGER)", "INSERT INTO rows VALUES (1), (2), (3)"} {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "alone.db")
	if err := os.WriteFile(alone, content, 0o600); err != nil {
		t.Fatal(err)
	}
	copied, err := database.OpenSQLite(t.Context(), alone)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = copied.Close() }()
	var got int
	if err := copied.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM rows").Scan(&got); err != nil || got != 3 {
		t.Errorf("rows in the copy = %d, error %v; want 3", got, err)
	}
}

func TestOpenRefusesADamagedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)",
		"WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000) INSERT INTO rows SELECT n, hex(randomblob(50)) FROM n",
	} {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name   string
		damage func([]byte)
	}{
		{name: "header", damage: func(file []byte) { copy(file, "not a database at all") }},
		{name: "a page in the middle", damage: func(file []byte) { clear(file[5*4096 : 6*4096]) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			file := bytes.Clone(whole)
			row.damage(file)
			path := filepath.Join(t.TempDir(), "damaged.db")
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			opened, err := database.OpenSQLite(t.Context(), path)
			if err == nil {
				err = errors.Join(opened.Check(t.Context()), opened.Close())
			}
			if !errors.Is(err, database.ErrDamaged) {
				t.Errorf("error = %v, want ErrDamaged", err)
			}
		})
	}
}
