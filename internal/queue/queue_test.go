package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

const (
	patience = 30 * time.Second
	lease    = 2 * time.Second
)

var lanes = []queue.Lane{{Handler: "download", Concurrency: 2}}

// house is a queue with its databases.
type house struct {
	*queue.Queue
	work *database.DB // in whose transactions jobs are inserted
	db   *database.DB // of the queue
}

func open(t *testing.T, place *databasetest.Place) *house {
	t.Helper()
	return openWith(t, place, lanes)
}

func openWith(t *testing.T, place *databasetest.Place, lanes []queue.Lane) *house {
	t.Helper()
	stores := place.Open(t)
	if _, err := queue.Migrate(t.Context(), stores.Queue); err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(stores.Queue, queue.Config{Lease: lease}, lanes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &house{q, stores.Work, stores.Queue}
}

func insert(t *testing.T, q *house, commit bool, jobs ...queue.Job) {
	t.Helper()
	tx, err := q.work.Writer.BeginTx(t.Context(), nil)
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

func stop(t *testing.T, q *house, patience time.Duration) {
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
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place)
		insert(t, q, false, queue.Job{Event: "rolled-back", Handler: "download"})
		insert(t, q, true, queue.Job{Event: "a", Handler: "download"}, queue.Job{Event: "b", Handler: "download"})
		got := make(chan queue.Job, 10)
		if err := q.Start(t.Context(), func(_ context.Context, job queue.Job) error { got <- job; return nil }); err != nil {
			t.Fatal(err)
		}
		seen := map[queue.Job]bool{receive(t, got): true, receive(t, got): true}
		insert(t, q, true, queue.Job{Event: "c", Handler: "download"})
		seen[receive(t, got)] = true
		stop(t, q, patience)
		for _, id := range []string{"a", "b", "c"} {
			delete(seen, queue.Job{Event: event.ID(id), Handler: "download"})
		}
		if len(seen) != 0 || len(got) != 0 {
			t.Errorf("handed out as well: %v and %d more", seen, len(got))
		}
	})
}

func TestLaterComesAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place)
		insert(t, q, true, queue.Job{Event: "a", Handler: "download"})
		times := make(chan time.Time, 10)
		var deliveries atomic.Int64
		err := q.Start(t.Context(), func(context.Context, queue.Job) error {
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
	})
}

// Jobs that run when the process dies are available at once in the next one, and only Reclaim does that.
func TestReclaimAfterDeath(t *testing.T) {
	t.Parallel()
	q := open(t, databasetest.NewPlace(t, database.SQLite))
	insert(t, q, true, queue.Job{Event: "a", Handler: "download"})
	// What a killed process leaves: a running job of a client that is gone, and its leadership.
	if _, err := q.db.Writer.ExecContext(t.Context(), "UPDATE river_job SET state = 'running', attempt = 1, attempted_at = CURRENT_TIMESTAMP"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.db.Writer.ExecContext(t.Context(), "INSERT INTO river_leader (elected_at, expires_at, leader_id, name) VALUES (CURRENT_TIMESTAMP, '2999-01-01 00:00:00', 'dead', 'default')"); err != nil {
		t.Fatal(err)
	}
	if n, err := q.Reclaim(t.Context()); err != nil || n != 1 {
		t.Fatalf("reclaimed %d, error %v", n, err)
	}
	got := make(chan queue.Job, 1)
	if err := q.Start(t.Context(), func(_ context.Context, job queue.Job) error { got <- job; return nil }); err != nil {
		t.Fatal(err)
	}
	receive(t, got)
	stop(t, q, patience)
}

func TestStopCancelsWhatRunsTooLong(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place)
		insert(t, q, true, queue.Job{Event: "a", Handler: "download"})
		running, ended := make(chan struct{}), make(chan error, 1)
		err := q.Start(t.Context(), func(ctx context.Context, _ queue.Job) error {
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
		if err := q.db.Reader.QueryRowContext(t.Context(), "SELECT state FROM river_job").Scan(&state); err != nil || state != "available" {
			t.Errorf("the job is %s, error %v", state, err)
		}
	})
}

// A job whose end could not be recorded comes again; one that is being worked on does not.
func TestLostJobsComeAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place)
		q.LookForLostEvery(400 * time.Millisecond) // twice that is more than River needs to write down an end
		insert(t, q, true, queue.Job{Event: "held", Handler: "download"}, queue.Job{Event: "lost", Handler: "download"})
		markRunning(t, q, "lost")
		release := make(chan struct{})
		got := make(chan event.ID, 10)
		err := q.Start(t.Context(), func(_ context.Context, job queue.Job) error {
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
	})
}

// markRunning makes a job look as if this process were working on it.
func markRunning(t *testing.T, q *house, id event.ID) {
	t.Helper()
	by := ""
	if q.db.Kind == database.Postgres {
		by = ", attempted_by = ARRAY['" + q.ReplicaID() + "']"
	}
	_, err := q.db.Writer.ExecContext(t.Context(), "UPDATE river_job SET state = 'running', attempt = 7"+by+" WHERE args ->> 'event' = $1", string(id))
	if err != nil {
		t.Fatal(err)
	}
}

// What a replica was working on when it fell silent is given to another. When it wakes, it cannot
// end the job that the other has now.
func TestSilentReplicaIsReplaced(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.Postgres)
	// The silent replica has room for one job, so that it cannot take the orphaned job as well.
	silent, other := openWith(t, place, []queue.Lane{{Handler: "download", Concurrency: 1}}), open(t, place)
	insert(t, silent, true, queue.Job{Event: "a", Handler: "download"})
	taken, wake, woken := make(chan struct{}), make(chan struct{}), make(chan struct{})
	err := silent.Start(t.Context(), func(context.Context, queue.Job) error {
		close(taken)
		<-wake
		defer close(woken)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, taken)
	silent.FallSilent()
	var deliveries atomic.Int64
	got := make(chan queue.Job, 10)
	err = other.Start(t.Context(), func(_ context.Context, job queue.Job) error {
		if deliveries.Add(1) == 1 {
			close(wake) // it ends its job while this one is under way
			<-woken
			stop(t, silent, patience)
			return &queue.Later{}
		}
		got <- job
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if job := receive(t, got); job.Event != "a" || deliveries.Load() != 2 {
		t.Errorf("got %+v after %d deliveries", job, deliveries.Load())
	}
	stop(t, other, patience)
}

// A step that takes longer than the lease stays with a replica that lives.
func TestLongWorkStaysWhereItIs(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.Postgres)
	busy, other := open(t, place), open(t, place)
	insert(t, busy, true, queue.Job{Event: "long", Handler: "download"})
	taken, release := make(chan struct{}), make(chan struct{})
	err := busy.Start(t.Context(), func(context.Context, queue.Job) error {
		close(taken)
		<-release
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, taken)
	got := make(chan queue.Job, 10)
	if err := other.Start(t.Context(), func(_ context.Context, job queue.Job) error { got <- job; return nil }); err != nil {
		t.Fatal(err)
	}
	select {
	case job := <-got:
		t.Errorf("%s was handed out twice", job.Event)
	case <-time.After(3 * lease):
	}
	close(release)
	stop(t, busy, patience)
	stop(t, other, patience)
}

// New jobs are told of: nobody has to look for them.
func TestWorkersAreWoken(t *testing.T) {
	t.Parallel()
	stores := databasetest.NewPlace(t, database.Postgres).Open(t)
	if _, err := queue.Migrate(t.Context(), stores.Queue); err != nil {
		t.Fatal(err)
	}
	opened, err := queue.OpenPolling(stores.Queue, queue.Config{Lease: time.Hour}, lanes, 24*time.Hour, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	q := &house{opened, stores.Work, stores.Queue}
	got := make(chan queue.Job, 10)
	if err := q.Start(t.Context(), func(_ context.Context, job queue.Job) error { got <- job; return nil }); err != nil {
		t.Fatal(err)
	}
	for listening := false; !listening; { // what comes before that is found by looking
		insert(t, q, true, queue.Job{Event: "early", Handler: "download"})
		select {
		case <-got:
			listening = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, id := range []event.ID{"a", "b", "c"} {
		insert(t, q, true, queue.Job{Event: id, Handler: "download"})
		job := receive(t, got)
		for job.Event == "early" {
			job = receive(t, got)
		}
		if job.Event != id {
			t.Errorf("got %s, want %s", job.Event, id)
		}
	}
	stop(t, q, patience)
}
