package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

var lanes = []queue.Lane{{Handler: "download", Concurrency: 2}}

func open(t *testing.T, db *database.SQLite) *queue.Queue {
	t.Helper()
	if _, err := queue.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(db, lanes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func insert(t *testing.T, db *database.SQLite, q *queue.Queue, commit bool, jobs ...queue.Job) {
	t.Helper()
	tx, err := db.Writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Insert(t.Context(), tx, jobs); err != nil {
		t.Fatal(err)
	}
	end := tx.Rollback
	if commit {
		end = tx.Commit
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, q *queue.Queue, patience time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := q.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func receive[T any](t *testing.T, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return value
}

func TestJobsAreHandedOut(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	q := open(t, db)
	insert(t, db, q, false, queue.Job{Event: "rolled-back", Handler: "download"})
	insert(t, db, q, true, queue.Job{Event: "a", Handler: "download"}, queue.Job{Event: "b", Handler: "download"})
	got := make(chan queue.Job, 10)
	if err := q.Start(func(_ context.Context, job queue.Job) error { got <- job; return nil }); err != nil {
		t.Fatal(err)
	}
	seen := map[queue.Job]bool{receive(t, got): true, receive(t, got): true}
	insert(t, db, q, true, queue.Job{Event: "c", Handler: "download"})
	seen[receive(t, got)] = true
	stop(t, q, patience)
	for _, id := range []string{"a", "b", "c"} {
		delete(seen, queue.Job{Event: event.ID(id), Handler: "download"})
	}
	if len(seen) != 0 || len(got) != 0 {
		t.Errorf("handed out as well: %v and %d more", seen, len(got))
	}
}

func TestLaterComesAgain(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	q := open(t, db)
	insert(t, db, q, true, queue.Job{Event: "a", Handler: "download"})
	times := make(chan time.Time, 10)
	var deliveries atomic.Int64
	err := q.Start(func(context.Context, queue.Job) error {
		times <- time.Now()
		if deliveries.Add(1) == 1 {
			return &queue.Later{After: 200 * time.Millisecond}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	first, second := receive(t, times), receive(t, times)
	stop(t, q, patience)
	if waited := second.Sub(first); waited < 190*time.Millisecond {
		t.Errorf("came again after %s", waited)
	}
}

// Jobs that run when the process dies are available at once in the next one, and only Reclaim does that.
func TestReclaimAfterDeath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "work.db")
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	q := open(t, db)
	insert(t, db, q, true, queue.Job{Event: "a", Handler: "download"})
	// What a killed process leaves: a running job of a client that is gone, and its leadership.
	if _, err := db.Writer.ExecContext(t.Context(), "UPDATE river_job SET state = 'running', attempt = 1, attempted_at = CURRENT_TIMESTAMP"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Writer.ExecContext(t.Context(), "INSERT INTO river_leader (elected_at, expires_at, leader_id, name) VALUES (CURRENT_TIMESTAMP, '2999-01-01 00:00:00', 'dead', 'default')"); err != nil {
		t.Fatal(err)
	}
	if n, err := q.Reclaim(t.Context()); err != nil || n != 1 {
		t.Fatalf("reclaimed %d, error %v", n, err)
	}
	got := make(chan queue.Job, 1)
	if err := q.Start(func(_ context.Context, job queue.Job) error { got <- job; return nil }); err != nil {
		t.Fatal(err)
	}
	receive(t, got)
	stop(t, q, patience)
}

func TestStopCancelsWhatRunsTooLong(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	q := open(t, db)
	insert(t, db, q, true, queue.Job{Event: "a", Handler: "download"})
	running, ended := make(chan struct{}), make(chan error, 1)
	err := q.Start(func(ctx context.Context, _ queue.Job) error {
		close(running)
		<-ctx.Done()
		ended <- ctx.Err()
		return &queue.Later{}
	})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, running)
	stop(t, q, 4*time.Second)
	if err := receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	var state string
	if err := db.Reader.QueryRowContext(t.Context(), "SELECT state FROM river_job").Scan(&state); err != nil || state != "available" {
		t.Errorf("the job is %s, error %v", state, err)
	}
}

// A job whose end could not be recorded comes again; one that is being worked on does not.
func TestLostJobsComeAgain(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	q := open(t, db)
	q.LookForLostEvery(20 * time.Millisecond)
	insert(t, db, q, true, queue.Job{Event: "held", Handler: "download"}, queue.Job{Event: "lost", Handler: "download"})
	if _, err := db.Writer.ExecContext(t.Context(), "UPDATE river_job SET state = 'running', attempt = 7 WHERE json_extract(args, '$.event') = 'lost'"); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	got := make(chan event.ID, 10)
	err := q.Start(func(_ context.Context, job queue.Job) error {
		got <- job.Event
		if job.Event == "held" {
			<-release
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[event.ID]bool{receive(t, got): true, receive(t, got): true}
	if !seen["held"] || !seen["lost"] {
		t.Errorf("handed out: %v", seen)
	}
	close(release)
	stop(t, q, patience)
	if len(got) != 0 {
		t.Errorf("%s was handed out twice", <-got)
	}
}
