package main_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// during sends callbacks to the receiver while f runs, and adds those that it acknowledges.
func (a *acknowledged) during(t *testing.T, vendor *fakevendortest.Vendor, webhook string, f func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), processTimeout)
	defer cancel()
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() { a.load(ctx, t, vendor, webhook) })
	}
	f()
	cancel()
	senders.Wait()
}

// snapshot returns what is acknowledged so far.
func (a *acknowledged) snapshot() map[string]fakevendortest.Job {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return maps.Clone(a.jobs)
}

// TestBackup is fault F1: a backup that is made under load and restored elsewhere has every event that was acknowledged before it
// began, and remembers them as duplicates.
func TestBackup(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendortest.Options{Timeout: 5 * time.Second})
	folder, saved, restored := t.TempDir(), filepath.Join(t.TempDir(), "saved"), t.TempDir()
	env := []string{"RECEIVER_DATA_DIR=" + folder, "RECEIVER_WEBHOOK_TOKENS=" + crashToken}
	p := serve(t, folder)
	acked := &acknowledged{jobs: map[string]fakevendortest.Job{}}
	var before map[string]fakevendortest.Job
	acked.during(t, vendor, p.webhook(), func() {
		before = testkit.WaitFor(t, "20 acknowledged events", func() (map[string]fakevendortest.Job, error) {
			return acked.snapshot(), nil
		}, func(found map[string]fakevendortest.Job) bool { return len(found) >= 20 })
		run(t, env, "backup", saved).expect(t, 0)
	})
	p.kill()
	// The images of the old folder are there: they were copied after the databases.
	if err := os.CopyFS(filepath.Join(restored, "images"), os.DirFS(filepath.Join(folder, "images"))); err != nil {
		t.Fatal(err)
	}
	env[0] = "RECEIVER_DATA_DIR=" + restored
	broken := t.TempDir()
	if err := os.CopyFS(broken, os.DirFS(saved)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(broken, "work.db"), 8192); err != nil {
		t.Fatal(err)
	}
	contains(t, "stderr", run(t, env, "restore", broken).expect(t, 1).stderr, "work.db")
	run(t, env, "restore", saved).expect(t, 0)
	contains(t, "stderr", run(t, env, "restore", saved).expect(t, 1).stderr, "inbox.db")
	p = serve(t, restored)
	waitUntilIdle(t, restored, p)
	work := reader(t, restored, "work.db")
	for id, job := range before {
		if done := count(t, work, "SELECT count(*) FROM events WHERE state = 'done' AND id = '"+id+"'"); done != 1 {
			t.Errorf("events %s that are done = %d, want 1", id, done)
		}
		answer, err := vendor.Send(t.Context(), p.webhook(), vendor.Callback(job, p.webhook()))
		if err != nil || !strings.Contains(string(answer.Body), id) {
			t.Errorf("answer to a repeat = %q, error %v, want the first id %s", answer.Body, err, id)
		}
	}
	run(t, env, "verify").expect(t, 0) // also while the receiver runs
}

// verifyReport is what "receiver verify --json" prints.
type verifyReport struct {
	Accepted, Events, Files, Repaired int
	Problems                          []struct{ Kind, Event, Key string }
}

func verify(t *testing.T, env []string, code int, flags ...string) verifyReport {
	t.Helper()
	var report verifyReport
	text := run(t, env, append([]string{"verify", "--json"}, flags...)...).expect(t, code).stdout
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	return report
}

func TestVerify(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendortest.Options{Timeout: 5 * time.Second})
	folder := t.TempDir()
	env := []string{"RECEIVER_DATA_DIR=" + folder, "RECEIVER_WEBHOOK_TOKENS=" + crashToken}
	p := serve(t, folder)
	for range 4 {
		job, err := vendor.NewJob(fakevendortest.JobOptions{Width: 12, Height: 8, Format: fakevendortest.PNG})
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := vendor.Send(t.Context(), p.webhook(), vendor.Callback(job, p.webhook())); err != nil || answer.Status != 200 {
			t.Fatalf("answer = %d, error %v, want 200", answer.Status, err)
		}
	}
	waitUntilIdle(t, folder, p)
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if got := verify(t, env, 0); got.Accepted != 4 || got.Events != 4 || got.Files != 8 || len(got.Problems) != 0 {
		t.Errorf("report = %+v, want 4 accepted, 4 events, 8 files, no problems", got)
	}

	var ids, keys []string
	rows, err := reader(t, folder, "work.db").QueryContext(t.Context(), "SELECT event_id, key FROM artifacts WHERE position = 0 ORDER BY event_id")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id, key string
		if err := rows.Scan(&id, &key); err != nil {
			t.Fatal(err)
		}
		ids, keys = append(ids, id), append(keys, filepath.Join(folder, "images", filepath.FromSlash(key)))
	}
	if err := rows.Err(); err != nil || len(ids) != 4 {
		t.Fatalf("events = %v, error %v, want 4", ids, err)
	}
	if err := os.Remove(keys[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keys[1], []byte("other bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	change(t, folder, "work.db", "DELETE FROM events WHERE id = '"+ids[2]+"'")
	change(t, folder, "inbox.db", "DELETE FROM callbacks WHERE id = '"+ids[3]+"'")
	kinds := map[string]string{}
	for _, problem := range verify(t, env, 1).Problems {
		kinds[problem.Event] = problem.Kind
	}
	for i, want := range []string{"missing", "changed", "not_added", "no_body"} {
		if got := kinds[ids[i]]; got != want {
			t.Errorf("problem of event %d = %q, want %q", i, got, want)
		}
	}
	if got := verify(t, env, 1, "--repair"); got.Repaired != 1 {
		t.Errorf("repaired = %d, want 1", got.Repaired)
	}
	env = append(env, "RECEIVER_ADMIN_ADDR="+testkit.FreeAddress(t))
	for _, id := range ids[:2] {
		run(t, env, "events", "replay", id, "--finished").expect(t, 0)
	}
	p = serve(t, folder)
	waitUntilIdle(t, folder, p)
	if got := verify(t, env, 1); len(got.Problems) != 1 || got.Problems[0].Kind != "no_body" {
		t.Errorf("problems = %+v, want no_body alone", got.Problems)
	}
}

// change runs a statement on a database file of a stopped receiver.
func change(t *testing.T, folder, name, statement string) {
	t.Helper()
	db, err := database.OpenSQLite(t.Context(), filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestBackupUsage(t *testing.T) {
	t.Parallel()
	full, missing := t.TempDir(), filepath.Join(t.TempDir(), "missing")
	if err := os.WriteFile(filepath.Join(full, "backup.json"), []byte(`{"files":[{"name":"../x"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	postgres := "RECEIVER_DATABASE_URL=" + databasetest.Postgres(t).URL.Reveal()
	for _, row := range []struct {
		name, env string
		args      []string
		want      int
	}{
		{name: "no folder", args: []string{"backup"}, want: 2},
		{name: "no store", args: []string{"backup", filepath.Join(missing, "copy")}, want: 1},
		{name: "folder is not empty", args: []string{"backup", full}, want: 1},
		{name: "Postgres", env: postgres, args: []string{"backup", missing}, want: 1},
		{name: "no backup to restore", args: []string{"restore", missing}, want: 1},
		{name: "file outside of the backup", args: []string{"restore", full}, want: 1},
		{name: "restore to Postgres", env: postgres, args: []string{"restore", full}, want: 1},
		{name: "nothing to verify", args: []string{"verify"}, want: 1},
		{name: "empty Postgres", env: postgres, args: []string{"verify"}, want: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			run(t, []string{"RECEIVER_DATA_DIR=" + folder, "RECEIVER_WEBHOOK_TOKENS=" + knownToken, row.env}, row.args...).expect(t, row.want)
			if stores, err := filepath.Glob(filepath.Join(folder, "*.db")); err != nil || len(stores) > 0 {
				t.Errorf("databases = %v, error %v, want none", stores, err)
			}
		})
	}
}
