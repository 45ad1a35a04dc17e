package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/google/go-cmp/cmp"
)

// countJobs returns how many of River's jobs have a state.
func (q *testQueue) countJobs(t *testing.T, state string) func() int {
	t.Helper()
	return func() (n int) {
		if err := q.db.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM river_job WHERE state = $1", state).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
}

// block returns a Run that sends the event of each job and waits for release. A job that is interrupted returns to the queue.
func block(begun chan<- event.ID, release <-chan struct{}) queue.Run {
	return func(ctx context.Context, job queue.Job) error {
		begun <- job.Event
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return &queue.Snooze{}
		}
	}
}

// In SQLite jobs are fetched before a slot is free, but no more than the concurrency run. A stop returns those that wait.
func TestJobsFetchedAheadWait(t *testing.T) {
	t.Parallel()
	const concurrency, ahead, jobs = 2, 8, 15
	q := open(t, databasetest.NewPlace(t, database.SQLite), concurrency)
	for n := range jobs {
		q.insert(t, event.ID(fmt.Sprintf("job-%02d", n)))
	}
	begun, release := make(chan event.ID, jobs), make(chan struct{})
	q.start(t, block(begun, release))
	receive(t, begun, concurrency)
	testkit.Eventually(t, "fetched jobs", concurrency+ahead, q.countJobs(t, "running"))
	testkit.Eventually(t, "depth", queue.Depth{Ready: jobs - concurrency, Running: concurrency}, func() queue.Depth {
		depths, err := q.Depths(t.Context())
		if err != nil {
			t.Error(err)
		}
		return depths["download"]
	})
	wantNoMore(t, begun)
	for range 5 {
		release <- struct{}{}
		receive(t, begun, 1)
	}
	testkit.Eventually(t, "completed jobs", 5, q.countJobs(t, "completed"))
	wantNoMore(t, begun)
	q.stopWithin(t, 2*time.Second)
	wantNoMore(t, begun)
	for state, want := range map[string]int{"available": jobs - 5, "completed": 5} {
		if got := q.countJobs(t, state)(); got != want {
			t.Errorf("jobs that are %s = %d, want %d", state, got, want)
		}
	}
}

// A late job that was fetched ahead does not run before others.
func TestLateJobsWaitForOthers(t *testing.T) {
	t.Parallel()
	q := open(t, databasetest.NewPlace(t, database.SQLite), 1)
	begun, release := make(chan event.ID, 10), make(chan struct{})
	q.start(t, block(begun, release))
	q.insert(t, "first")
	got := receive(t, begun, 1)
	q.insertLate(t, "late")
	testkit.Eventually(t, "fetched jobs", 2, q.countJobs(t, "running"))
	q.insert(t, "second")
	testkit.Eventually(t, "fetched jobs", 3, q.countJobs(t, "running"))
	testkit.Eventually(t, "jobs that wait", 2, func() int { return q.Waiting("download") })
	for range 2 {
		release <- struct{}{}
		got = append(got, receive(t, begun, 1)...)
	}
	close(release)
	q.stop(t)
	if diff := cmp.Diff([]event.ID{"first", "second", "late"}, got); diff != "" {
		t.Errorf("order of the jobs (-want +got):\n%s", diff)
	}
}

// insertLate inserts a late job of the handler download.
func (q *testQueue) insertLate(t *testing.T, id event.ID) {
	t.Helper()
	tx, err := q.work.Writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Insert(t.Context(), tx, []queue.Job{{Event: id, Handler: "download", Late: true}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
