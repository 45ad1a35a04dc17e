package database_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		begun := time.Now()
		w := openWriter(t, place)
		if at := w.LastCommit(); !at.IsZero() {
			t.Errorf("last commit before the first = %s, want none", at)
		}
		if err := w.Write(t.Context(), "test", execute("INSERT INTO counters VALUES ('a', 0)")); err != nil {
			t.Fatal(err)
		}
		if at := w.LastCommit(); at.Before(begun.Truncate(time.Microsecond)) || at.After(time.Now()) {
			t.Errorf("last commit = %s, want after %s", at, begun)
		}
		usage, err := w.DB.Usage(t.Context())
		if err != nil || usage.Bytes == 0 && place.Kind == database.Postgres || usage.Log <= 0 || usage.Checkpoint.IsZero() {
			t.Errorf("usage = %+v, error %v; want sizes and a checkpoint", usage, err)
		}
	})
}

// A checkpoint moves bytes from the log into the file, and its time is known.
func TestUsageAfterCheckpoint(t *testing.T) {
	t.Parallel()
	db, err := database.OpenSQLite(t.Context(), t.TempDir()+"/a.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, statement := range []string{
		"CREATE TABLE big (content BLOB)", "INSERT INTO big VALUES (zeroblob(1000000))",
	} {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	before, err := db.Usage(t.Context())
	if err != nil || before.Log < 1_000_000 || before.Bytes >= 1_000_000 {
		t.Fatalf("usage = %+v, error %v; want a log of more than 1,000,000 bytes", before, err)
	}
	if _, err := db.Writer.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	after, err := db.Usage(t.Context())
	if err != nil || after.Log != 0 || after.Bytes < 1_000_000 || !after.Checkpoint.After(before.Checkpoint) {
		t.Errorf("usage = %+v, error %v; want no log, more than 1,000,000 bytes and a checkpoint after %s", after, err, before.Checkpoint)
	}
}

// A role that is not a member of pg_monitor sees the size of the database and not that of the log.
func TestUsageOfOrdinaryRole(t *testing.T) {
	t.Parallel()
	config := databasetest.Postgres(t)
	role := strings.ToLower("role-" + rand.Text())
	owner, err := database.OpenServer(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	if _, err := owner.Work.Writer.ExecContext(t.Context(), `CREATE ROLE "`+role+`" LOGIN`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := owner.Work.Writer.ExecContext(context.WithoutCancel(t.Context()), `DROP ROLE "`+role+`"`); err != nil {
			t.Error(err)
		}
	})
	config.URL = secret.New(strings.Replace(config.URL.Reveal(), "receiver@", role+"@", 1))
	ordinary, err := database.OpenServer(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ordinary.Close() }()
	usage, err := ordinary.Work.Usage(t.Context())
	if err != nil || usage.Bytes == 0 || usage.Log != -1 {
		t.Errorf("usage = %+v, error %v; want a size, and no log", usage, err)
	}
}
