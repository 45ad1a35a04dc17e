package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

const lease = 2 * time.Second

// testQueue is a queue with its databases.
type testQueue struct {
	*queue.Queue
	work *database.DB // in whose transactions jobs are inserted
	db   *database.DB // of the queue
}

// open returns a queue that runs so many jobs of the handler download at the same time.
func open(t *testing.T, place *databasetest.Place, concurrency int) *testQueue {
	t.Helper()
	stores := place.Open(t)
	if _, err := queue.Migrate(t.Context(), stores.Queue); err != nil {
		t.Fatal(err)
	}
	queues := []queue.HandlerQueue{{Handler: "download", Concurrency: concurrency}}
	q, err := queue.Open(stores.Queue, queue.Config{Lease: lease}, queues, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &testQueue{q, stores.Work, stores.Queue}
}

// insert inserts jobs of the handler download for the events.
func (q *testQueue) insert(t *testing.T, events ...event.ID) {
	t.Helper()
	q.insertIn(t, true, events...)
}

func (q *testQueue) insertIn(t *testing.T, commit bool, events ...event.ID) {
	t.Helper()
	tx, err := q.work.Writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var jobs []queue.Job
	for _, id := range events {
		jobs = append(jobs, queue.Job{Event: id, Handler: "download"})
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

func (q *testQueue) start(t *testing.T, run queue.Run) {
	t.Helper()
	if err := q.Start(t.Context(), run); err != nil {
		t.Fatal(err)
	}
}

func (q *testQueue) stop(t *testing.T) {
	t.Helper()
	q.stopWithin(t, testkit.Timeout)
}

func (q *testQueue) stopWithin(t *testing.T, timeout time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := q.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func (q *testQueue) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := q.db.Writer.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// record returns a Run that sends the event of each job.
func record(got chan<- event.ID) queue.Run {
	return func(_ context.Context, job queue.Job) error {
		got <- job.Event
		return nil
	}
}

// receive returns the next events in order of their ids.
func receive(t *testing.T, got <-chan event.ID, n int) (events []event.ID) {
	t.Helper()
	for range n {
		events = append(events, testkit.Receive(t, "event of a job", got))
	}
	slices.Sort(events)
	return events
}

func wantNoMore(t *testing.T, got <-chan event.ID) {
	t.Helper()
	if n := len(got); n != 0 {
		t.Errorf("further jobs that ran = %d, first %q, want 0", n, <-got)
	}
}

func TestJobsRun(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place, 2)
		q.insertIn(t, false, "rolled-back")
		q.insert(t, "a", "b")
		got := make(chan event.ID, 10)
		q.start(t, record(got))
		if diff := cmp.Diff([]event.ID{"a", "b"}, receive(t, got, 2)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		q.insert(t, "c")
		if diff := cmp.Diff([]event.ID{"c"}, receive(t, got, 1)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		q.stop(t)
		wantNoMore(t, got)
	})
}

func TestSnooze(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		const snooze, tolerance = 200 * time.Millisecond, 10 * time.Millisecond
		q := open(t, place, 2)
		q.insert(t, "a")
		times := make(chan time.Time, 10)
		var runs atomic.Int64
		q.start(t, func(context.Context, queue.Job) error {
			times <- time.Now()
			if runs.Add(1) == 1 {
				return &queue.Snooze{Duration: snooze}
			}
			return nil
		})
		first, second := testkit.Receive(t, "first run", times), testkit.Receive(t, "second run", times)
		q.stop(t)
		if got := second.Sub(first); got < snooze-tolerance {
			t.Errorf("second run after %s, want at least %s", got, snooze)
		}
	})
}

// runNow runs the job of a step of the handler download at once, in a transaction that is committed or not.
func (q *testQueue) runNow(t *testing.T, id event.ID, commit bool) {
	t.Helper()
	tx, err := q.work.Writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = q.RunNow(t.Context(), tx, queue.Job{Event: id, Handler: "download"})
	end := tx.Rollback
	if commit {
		end = tx.Commit
	}
	if err := errors.Join(err, end()); err != nil {
		t.Fatal(err)
	}
}

// A job that waits runs at once, by its own row, and no other does. A step without a job gets one.
func TestRunNow(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place, 2)
		q.insert(t, "a", "b")
		got := make(chan event.ID, 10)
		var runs atomic.Int64
		q.start(t, func(_ context.Context, job queue.Job) error {
			got <- job.Event
			if runs.Add(1) <= 2 {
				return &queue.Snooze{Duration: time.Hour}
			}
			return nil
		})
		receive(t, got, 2)
		jobs := func(where string) (n int) {
			if err := q.db.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM river_job WHERE "+where).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		testkit.Eventually(t, "scheduled jobs", 2, func() int { return jobs("state = 'scheduled'") })
		q.runNow(t, "a", false)
		if n := jobs("state = 'scheduled'"); n != 2 {
			t.Errorf("scheduled jobs after a rollback = %d, want 2", n)
		}
		q.runNow(t, "a", true)
		if diff := cmp.Diff([]event.ID{"a"}, receive(t, got, 1)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		q.runNow(t, "c", true) // has no job
		if diff := cmp.Diff([]event.ID{"c"}, receive(t, got, 1)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		q.stop(t)
		wantNoMore(t, got)
		if scheduled, all := jobs("state = 'scheduled'"), jobs("1 = 1"); scheduled != 1 || all != 3 {
			t.Errorf("scheduled jobs = %d of %d, want 1 of 3", scheduled, all)
		}
	})
}

// TestReclaim leaves in the database what a killed process does: a running job, and the leadership of River.
func TestReclaim(t *testing.T) {
	t.Parallel()
	q := open(t, databasetest.NewPlace(t, database.SQLite), 2)
	q.insert(t, "a")
	q.exec(t, "UPDATE river_job SET state = 'running', attempt = 1, attempted_at = CURRENT_TIMESTAMP")
	q.exec(t, "INSERT INTO river_leader (elected_at, expires_at, leader_id, name) VALUES (CURRENT_TIMESTAMP, '2999-01-01 00:00:00', 'dead', 'default')")
	if n, err := q.Reclaim(t.Context()); err != nil || n != 1 {
		t.Fatalf("Reclaim = %d, error %v; want 1, nil", n, err)
	}
	got := make(chan event.ID, 1)
	q.start(t, record(got))
	receive(t, got, 1)
	q.stop(t)
}

func TestStopCancelsLongJobs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place, 2)
		q.insert(t, "a")
		running, ended := make(chan struct{}), make(chan error, 1)
		q.start(t, func(ctx context.Context, _ queue.Job) error {
			close(running)
			<-ctx.Done()
			ended <- ctx.Err()
			return &queue.Snooze{}
		})
		testkit.Receive(t, "begin of the job", running)
		q.stopWithin(t, 4*time.Second)
		if err := testkit.Receive(t, "end of the job", ended); !errors.Is(err, context.Canceled) {
			t.Errorf("error of the job's context = %v, want %v", err, context.Canceled)
		}
		var state string
		if err := q.db.Reader.QueryRowContext(t.Context(), "SELECT state FROM river_job").Scan(&state); err != nil || state != "available" {
			t.Errorf("state of the job = %q, error %v; want available, nil", state, err)
		}
	})
}

// TestOrphanedJobRunsAgain has a job whose end could not be recorded, and one that runs for long.
func TestOrphanedJobRunsAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place, 2)
		q.ConfirmOrphansAfter(800 * time.Millisecond) // River needs less to record the end of a job
		q.insert(t, "long", "orphaned")
		q.markRunning(t, "orphaned")
		release := make(chan struct{})
		got := make(chan event.ID, 10)
		q.start(t, func(_ context.Context, job queue.Job) error {
			got <- job.Event
			if job.Event == "long" {
				<-release
			}
			return nil
		})
		if diff := cmp.Diff([]event.ID{"long", "orphaned"}, receive(t, got, 2)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		close(release)
		q.stop(t)
		wantNoMore(t, got)
	})
}

// markRunning makes a job look as if this process were running it.
func (q *testQueue) markRunning(t *testing.T, id event.ID) {
	t.Helper()
	by := ""
	if q.db.Kind == database.Postgres {
		by = ", attempted_by = ARRAY['" + q.ReplicaID() + "']"
	}
	q.exec(t, "UPDATE river_job SET state = 'running', attempt = 7"+by+" WHERE args ->> 'event' = $1", string(id))
}

// TestDeadReplicaIsReplaced is fault E13. It pauses a replica: another one takes its job. When the first one wakes up it cannot end that job.
func TestDeadReplicaIsReplaced(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.Postgres)
	// The paused replica has one slot, so that it cannot take the orphaned job as well.
	paused, other := open(t, place, 1), open(t, place, 2)
	paused.insert(t, "a")
	begun, wake, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	paused.start(t, func(context.Context, queue.Job) error {
		close(begun)
		<-wake
		defer close(ended)
		return nil
	})
	testkit.Receive(t, "begin of the job", begun)
	if err := paused.StopHeartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	var runs atomic.Int64
	got := make(chan event.ID, 10)
	other.start(t, func(_ context.Context, job queue.Job) error {
		if runs.Add(1) == 1 {
			close(wake) // the paused replica ends its job while this one runs
			<-ended
			paused.stop(t)
			return &queue.Snooze{}
		}
		got <- job.Event
		return nil
	})
	if diff := cmp.Diff([]event.ID{"a"}, receive(t, got, 1)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := runs.Load(); got != 2 {
		t.Errorf("runs by the other replica = %d, want 2", got)
	}
	other.stop(t)
}

// F11: the leader of River is dead. Its leadership ends with its lease, long before River ends it.
func TestDeadLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.Postgres)
	q := open(t, place, 1)
	q.exec(t, "INSERT INTO replicas (id, seen_at) VALUES ('dead', now())")
	q.exec(t, "INSERT INTO river_leader (leader_id, elected_at, expires_at) VALUES ('dead', now() - interval '1 hour', now() + interval '1 hour')")
	got := make(chan event.ID, 1)
	begun := time.Now()
	q.start(t, record(got))
	testkit.Eventually(t, "leader", q.ReplicaID(), func() (leader string) {
		_ = q.db.Reader.QueryRowContext(t.Context(), "SELECT leader_id FROM river_leader").Scan(&leader) // none for a moment
		return leader
	})
	if took := time.Since(begun); took < lease/2 {
		t.Errorf("leader was replaced after %s, want the end of its lease of %s", took, lease)
	} else {
		t.Logf("leader was replaced after %s with a lease of %s", took, lease)
	}
	q.stop(t)
}

// F6: a replica whose clock is ahead inserts jobs that are due at once by the clock of the server.
func TestJobsAreDueByTheClockOfTheServer(t *testing.T) {
	t.Parallel()
	q := open(t, databasetest.NewPlace(t, database.Postgres), 1)
	reading, err := q.db.ReadClock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q.db.AdoptClock(reading.Shifted(-time.Hour)) // this machine is an hour ahead
	q.insert(t, "a")
	var ahead float64
	row := q.db.Reader.QueryRowContext(t.Context(), "SELECT extract(epoch FROM scheduled_at - now()) FROM river_job")
	if err := row.Scan(&ahead); err != nil {
		t.Fatal(err)
	}
	if want := -time.Hour.Seconds(); ahead > want+60 || ahead < want-60 {
		t.Errorf("F6: job is due in %.0f s by the clock of this machine, want %.0f s", ahead, want)
	}
}

// F12: jobs that a wrong clock has put off are available again.
func TestReleaseScheduled(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place, 1)
		now := time.Now()
		tx, err := q.work.Writer.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		jobs := []queue.Job{
			{Event: "soon", Handler: "download", At: now.Add(time.Minute)},
			{Event: "late", Handler: "download", At: now.Add(6 * time.Hour)},
			{Event: "thought due", Handler: "download", At: now.Add(6 * time.Hour)},
		}
		if err := q.Insert(t.Context(), tx, jobs); err != nil {
			t.Fatal(err)
		}
		_, err = tx.ExecContext(t.Context(), "UPDATE river_job SET state = 'available' WHERE args ->> 'event' = 'thought due'")
		if err := errors.Join(err, tx.Commit()); err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			delay time.Duration
			want  int64
		}{{time.Hour, 2}, {time.Hour, 0}, {0, 1}} {
			if n, err := q.ReleaseScheduled(t.Context(), row.delay); n != row.want || err != nil {
				t.Errorf("F12: ReleaseScheduled(%s) = %d, error %v; want %d", row.delay, n, err, row.want)
			}
		}
		got := make(chan event.ID, 3)
		q.start(t, record(got))
		if diff := cmp.Diff([]event.ID{"late", "soon", "thought due"}, receive(t, got, 3)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		q.stop(t)
	})
}

// TestLongJobStays has a job that takes longer than the lease, on a replica with a heartbeat.
func TestLongJobStays(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.Postgres)
	busy, other := open(t, place, 2), open(t, place, 2)
	busy.insert(t, "long")
	begun, release := make(chan struct{}), make(chan struct{})
	busy.start(t, func(context.Context, queue.Job) error {
		close(begun)
		<-release
		return nil
	})
	testkit.Receive(t, "begin of the job", begun)
	got := make(chan event.ID, 10)
	other.start(t, record(got))
	select {
	case id := <-got:
		t.Errorf("the other replica runs %q, want no job", id)
	case <-time.After(3 * lease):
	}
	close(release)
	busy.stop(t)
	other.stop(t)
}

// openRarelyPolling returns a queue that looks for jobs once a day, unless a notice announces them.
func openRarelyPolling(t *testing.T, place *databasetest.Place) *testQueue {
	t.Helper()
	stores := place.Open(t)
	if _, err := queue.Migrate(t.Context(), stores.Queue); err != nil {
		t.Fatal(err)
	}
	queues := []queue.HandlerQueue{{Handler: "download", Concurrency: 2}}
	opened, err := queue.OpenPolling(stores.Queue, queue.Config{Lease: time.Hour}, queues, 24*time.Hour, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &testQueue{opened, stores.Work, stores.Queue}
}

func TestNoticesAnnounceJobs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := openRarelyPolling(t, place)
		got := make(chan event.ID, 10)
		q.start(t, record(got))
		for listening := false; !listening; { // jobs that were inserted before the queue listens are found by polling
			q.insert(t, "early")
			select {
			case <-got:
				listening = true
			case <-time.After(50 * time.Millisecond):
			}
		}
		for _, want := range []event.ID{"a", "b", "c"} {
			q.insert(t, want)
			id := event.ID("early")
			for id == "early" {
				id = testkit.Receive(t, "event of a job", got)
			}
			if id != want {
				t.Errorf("event = %q, want %q", id, want)
			}
		}
		q.stop(t)
	})
}

// In SQLite every commit announces its jobs, however soon it follows another.
func TestEveryCommitAnnouncesItsJobs(t *testing.T) {
	t.Parallel()
	q := openRarelyPolling(t, databasetest.NewPlace(t, database.SQLite))
	got := make(chan event.ID, 1000)
	q.start(t, record(got))
	var want []event.ID
	for n := range 100 {
		id := event.ID(fmt.Sprintf("job-%03d", n))
		q.insertIn(t, false, "rolled-back")
		q.insert(t, id)
		want = append(want, id)
		if n%10 == 0 { // a gap, so that a job is inserted while no worker runs
			if diff := cmp.Diff(want, receive(t, got, len(want))); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			want = nil
		}
	}
	if diff := cmp.Diff(want, receive(t, got, len(want))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	q.stop(t)
	wantNoMore(t, got)
	var unfinished int
	err := q.db.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM river_job WHERE state <> 'completed' OR finalized_at IS NULL").Scan(&unfinished)
	if err != nil || unfinished != 0 {
		t.Errorf("unfinished jobs = %d, error %v; want 0", unfinished, err)
	}
}

// In SQLite a job that was snoozed for less than River's scheduler takes is announced when it is due.
func TestSnoozedJobIsAnnounced(t *testing.T) {
	t.Parallel()
	q := openRarelyPolling(t, databasetest.NewPlace(t, database.SQLite))
	q.insert(t, "a", "b")
	got := make(chan event.ID, 10)
	var runs atomic.Int64
	q.start(t, func(_ context.Context, job queue.Job) error {
		if n := runs.Add(1); n <= 4 {
			return &queue.Snooze{Duration: time.Duration(n) * 20 * time.Millisecond}
		}
		got <- job.Event
		return nil
	})
	if diff := cmp.Diff([]event.ID{"a", "b"}, receive(t, got, 2)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	q.stop(t)
}

// The end of a job that another run has taken over is not recorded.
func TestCompletionLeavesJobsThatDoNotRun(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := openRarelyPolling(t, place)
		q.insert(t, "a", "taken-over")
		ended := make(chan event.ID, 10)
		q.start(t, func(_ context.Context, job queue.Job) error {
			defer func() { ended <- job.Event }()
			if job.Event == "taken-over" {
				q.exec(t, "UPDATE river_job SET state = 'discarded', finalized_at = CURRENT_TIMESTAMP WHERE args ->> 'event' = 'taken-over'")
			}
			return nil
		})
		receive(t, ended, 2)
		q.stop(t)
		for id, want := range map[string]string{"a": "completed", "taken-over": "discarded"} {
			var state string
			err := q.db.Reader.QueryRowContext(t.Context(), "SELECT state FROM river_job WHERE args ->> 'event' = $1", id).Scan(&state)
			if err != nil || state != want {
				t.Errorf("state of the job of %q = %q, error %v; want %q", id, state, err, want)
			}
		}
	})
}
