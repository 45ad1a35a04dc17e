package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/google/go-cmp/cmp"
)

// noQueue inserts no jobs.
type noQueue struct{}

func (noQueue) Insert(context.Context, *sql.Tx, []queue.Job) error { return nil }

func (noQueue) RunNow(context.Context, *sql.Tx, queue.Job) error { return nil }

// files are the two files of one receiver.
type files struct{ folder string }

func (f files) inbox() string { return filepath.Join(f.folder, "inbox.db") }
func (f files) work() string  { return filepath.Join(f.folder, "work.db") }

// run is one life of a receiver: it matches the files, accepts events from and up to the numbers, and relays what waits.
func (f files) run(t *testing.T, from, to int, relayed bool) (relay.Match, error) {
	t.Helper()
	inboxDB, workDB := f.open(t, f.inbox(), inbox.Migrate), f.open(t, f.work(), schema.Migrate)
	defer func() {
		if err := errors.Join(inboxDB.Close(), workDB.Close()); err != nil {
			t.Error(err)
		}
	}()
	match, err := relay.MatchStores(t.Context(), inboxDB, workDB)
	if err != nil {
		return match, err
	}
	box, err := inbox.Open(t.Context(), inboxDB, inbox.Config{MaxBatch: 8, MaxBacklog: 1000, MaxRejections: 1, MaxRejectionsBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = box.Close() }()
	for n := from; n < to; n++ {
		body := fmt.Appendf(nil, `{"job":"job-%d"}`, n)
		if _, err := box.Accept(t.Context(), event.Event{Job: fmt.Sprint("job-", n), Received: time.Now(), Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	if relayed {
		f.relay(t, box, workDB)
		f.checkBodies(t, box, workDB)
	}
	return match, nil
}

func (f files) open(t *testing.T, path string, migrate func(context.Context, *database.DB) (int64, error)) *database.DB {
	t.Helper()
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

// relay carries all that waits into the work store.
func (f files) relay(t *testing.T, box *inbox.Inbox, workDB *database.DB) {
	t.Helper()
	writer := database.NewWriter(workDB)
	defer func() { _ = writer.Close() }()
	store := workflow.New(writer, noQueue{}, nil)
	for {
		entries, err := box.Unrelayed(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return
		}
		var taken []event.Entry
		var numbers []int64
		for _, e := range entries {
			taken = append(taken, event.Entry{Sequence: e.Sequence, ID: e.ID, Job: e.Job, Received: e.Received, Bytes: e.Bytes})
			numbers = append(numbers, e.Sequence)
		}
		_, err = store.Add(t.Context(), func(context.Context, *sql.Tx) ([]event.Entry, error) { return taken, nil }, stages)
		if err == nil {
			err = box.Relayed(t.Context(), numbers)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkBodies checks that no event has the body of another one.
func (f files) checkBodies(t *testing.T, box *inbox.Inbox, workDB *database.DB) {
	t.Helper()
	rows, err := workDB.Reader.QueryContext(t.Context(), "SELECT id, job FROM events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id event.ID
		var job string
		if err := rows.Scan(&id, &job); err != nil {
			t.Fatal(err)
		}
		body, err := box.Body(t.Context(), job, id)
		if want := fmt.Sprintf(`{"job":%q}`, job); !errors.Is(err, inbox.ErrNotFound) && string(body) != want {
			t.Errorf("body of %s = %q, error %v; want %q or ErrNotFound", job, body, err, want)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// count returns the number of events in the work store.
func (f files) count(t *testing.T) (n int) {
	t.Helper()
	db, err := database.OpenSQLite(t.Context(), f.work())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM events").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// remove removes a file and those that SQLite keeps beside it.
func remove(t *testing.T, path string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// F1, F2 and F3 of the list of faults: a file that is lost, copied or restored.
func TestMatchStores(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		between func(t *testing.T, f files) // after five events were relayed
		want    relay.Match
		wantErr error
		events  int // in the work store after three more
	}{
		{name: "nothing happened", between: func(*testing.T, files) {}, events: 8},
		{name: "work store lost", between: func(t *testing.T, f files) { remove(t, f.work()) }, want: relay.Match{Requeued: 5}, events: 8},
		{name: "inbox lost", between: func(t *testing.T, f files) { remove(t, f.inbox()) }, want: relay.Match{Bodiless: 5}, events: 8},
		{name: "both lost", between: func(t *testing.T, f files) { remove(t, f.inbox()); remove(t, f.work()) }, events: 3},
		{
			name: "work store older", between: func(t *testing.T, f files) {
				copyFile(t, f.work(), f.work()+".old")
				f.mustRun(t, 10, 14)
				copyFile(t, f.work()+".old", f.work())
			}, want: relay.Match{Requeued: 4}, events: 12,
		},
		{
			name: "inbox older", between: func(t *testing.T, f files) {
				copyFile(t, f.inbox(), f.inbox()+".old")
				f.mustRun(t, 10, 14)
				copyFile(t, f.inbox()+".old", f.inbox())
			}, want: relay.Match{Bodiless: 4}, events: 12,
		},
		{
			name: "written by a version without marks", between: func(t *testing.T, f files) { f.dropMarks(t) }, events: 8,
		},
		{
			name: "work store lost, inbox written by a version without marks", between: func(t *testing.T, f files) {
				f.dropMarks(t)
				remove(t, f.work())
			}, want: relay.Match{Requeued: 5}, events: 8,
		},
		{
			name: "work store of another receiver", between: func(t *testing.T, f files) {
				other := files{t.TempDir()}
				other.mustRun(t, 0, 5)
				copyFile(t, other.work(), f.work())
			}, wantErr: relay.ErrForeign,
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := files{t.TempDir()}
			f.mustRun(t, 0, 5)
			row.between(t, f)
			got, err := f.run(t, 20, 23, true)
			if !errors.Is(err, row.wantErr) {
				t.Fatalf("error = %v, want %v", err, row.wantErr)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("match (-want +got):\n%s", diff)
			}
			if row.wantErr != nil {
				return
			}
			if got := f.count(t); got != row.events {
				t.Errorf("events in the work store = %d, want %d", got, row.events)
			}
			f.mustRun(t, 0, 0)
		})
	}
}

// mustRun is run where nothing is to be found.
func (f files) mustRun(t *testing.T, from, to int) {
	t.Helper()
	if match, err := f.run(t, from, to, true); err != nil || match != (relay.Match{}) {
		t.Fatalf("match = %+v, error %v; want none", match, err)
	}
}

// dropMarks makes the files as versions wrote them that had no marks.
func (f files) dropMarks(t *testing.T) {
	t.Helper()
	for _, path := range []string{f.inbox(), f.work()} {
		db, err := database.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Writer.ExecContext(t.Context(), "DELETE FROM mark"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
