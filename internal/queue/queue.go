// Package queue is River behind our words: it hands out steps to be worked on,
// one queue per handler, so that a slow handler delays nobody else. A job
// carries nothing but the names of an event and a handler; what they mean is in
// the work store.
package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// Job is one step that is to be worked on.
type Job struct {
	Event   event.ID
	Handler string
}

// Run works on a job. nil ends the job, a *Later puts it off, any other error
// means that the outcome could not be recorded: the job comes again soon.
type Run func(ctx context.Context, job Job) error

// Later puts a job off: it comes again when After has passed.
type Later struct{ After time.Duration }

// Error makes Later an error, as which Run returns it.
func (l *Later) Error() string { return fmt.Sprintf("queue: again in %s", l.After) }

// Lane is the queue of one handler.
type Lane struct {
	Handler     string
	Concurrency int // jobs at the same time
}

const (
	// fetchCooldown is the shortest time between two looks for work. River's own
	// default of 100 ms would cap what many workers can do.
	fetchCooldown = 10 * time.Millisecond
	// fetchPollInterval is how late a job can be that was put off for a short time; a look that
	// finds nothing writes nothing.
	fetchPollInterval = 250 * time.Millisecond
	// finishedRetention is how long River keeps finished jobs. The history that people look at is ours.
	finishedRetention = 10 * time.Minute
	// stopMargin is what is left of the time to stop when running jobs are cancelled.
	stopMargin = 5 * time.Second
	// maxDeliveries is as good as without end: how often a step is tried is decided by the pipeline.
	maxDeliveries = 30_000
)

// Queue hands out jobs. It is safe for use by many goroutines.
type Queue struct {
	database *database.SQLite
	client   *river.Client[*sql.Tx]
	worker   *worker
	lost     *lost
}

// Migrate brings River's tables up to date and returns their version.
func Migrate(ctx context.Context, db *database.SQLite) (int64, error) {
	migrator, err := rivermigrate.New(riversqlite.New(db.Writer), nil)
	if err != nil {
		return 0, fmt.Errorf("queue: migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return 0, fmt.Errorf("queue: migrate: %w", err)
	}
	versions, err := migrator.ExistingVersions(ctx)
	if err != nil || len(versions) == 0 {
		return 0, fmt.Errorf("queue: schema version: %w", err)
	}
	return int64(versions[len(versions)-1].Version), nil
}

// Open makes a queue with its lanes on a migrated database. Jobs can be inserted
// at once; they are handed out from Start on.
func Open(db *database.SQLite, lanes []Lane, log *slog.Logger) (*Queue, error) {
	lost := newLost(db, log)
	q := &Queue{database: db, worker: &worker{lost: lost}, lost: lost}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, q.worker); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	client, err := river.NewClient(riversqlite.New(db.Writer), configuration(lanes, workers, log))
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q.client = client
	return q, nil
}

func configuration(lanes []Lane, workers *river.Workers, log *slog.Logger) *river.Config {
	queues := make(map[string]river.QueueConfig, len(lanes))
	for _, lane := range lanes {
		queues[lane.Handler] = river.QueueConfig{MaxWorkers: lane.Concurrency}
	}
	return &river.Config{
		Logger:            log,
		Queues:            queues,
		Workers:           workers,
		FetchCooldown:     fetchCooldown,
		FetchPollInterval: fetchPollInterval,
		// The pipeline gives every attempt its deadline, and lost jobs are found by ourselves:
		// without a timeout River's own rescue leaves them alone.
		JobTimeout:                  -1,
		MaxAttempts:                 maxDeliveries,
		RetryPolicy:                 soon{},
		CompletedJobRetentionPeriod: finishedRetention,
	}
}

// Insert adds jobs within a transaction of the work store.
func (q *Queue) Insert(ctx context.Context, tx *sql.Tx, jobs []Job) error {
	params := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		params[i] = river.InsertManyParams{
			Args:       stepArgs(job),
			InsertOpts: &river.InsertOpts{Queue: job.Handler},
		}
	}
	if len(params) == 0 {
		return nil
	}
	if _, err := q.client.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("queue: insert: %w", err)
	}
	return nil
}

// Reclaim makes jobs available again that an earlier process was working on when
// it died, and takes over its leadership. It is right only while this process
// holds the data folder for itself and before Start.
func (q *Queue) Reclaim(ctx context.Context) (jobs int64, err error) {
	result, err := q.database.Writer.ExecContext(ctx, "UPDATE river_job SET state = 'available' WHERE state = 'running'")
	if err != nil {
		return 0, fmt.Errorf("queue: reclaim: %w", err)
	}
	if _, err := q.database.Writer.ExecContext(ctx, "DELETE FROM river_leader"); err != nil {
		return 0, fmt.Errorf("queue: reclaim: %w", err)
	}
	return result.RowsAffected()
}

// Start hands out jobs to run until Stop.
func (q *Queue) Start(run Run) error {
	q.worker.run = run
	if err := q.client.Start(context.Background()); err != nil {
		return fmt.Errorf("queue: start: %w", err)
	}
	q.lost.start()
	return nil
}

// Stop takes no more jobs and waits for those that run. Shortly before the
// context's deadline it cancels them; they come again at the next start.
func (q *Queue) Stop(ctx context.Context) error {
	q.lost.stop()
	patient, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		margin := min(stopMargin, time.Until(deadline)/2)
		patient, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
	}
	defer cancel()
	err := q.client.Stop(patient)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = q.client.StopAndCancel(ctx)
	}
	if err != nil {
		return fmt.Errorf("queue: stop: %w", err)
	}
	return nil
}
