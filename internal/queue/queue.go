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
)

// Config says how replicas share the work; it counts in Postgres alone.
type Config struct {
	Lease time.Duration `envconfig:"LEASE" default:"30s" range:"2s..10m" desc:"in Postgres: time without a sign of life after which what a replica was working on is given to others"`
}

// Job is one step that is to be worked on.
type Job struct {
	Event   event.ID
	Handler string
	At      time.Time // not handed out before; zero is at once
	Late    bool      // handed out only when no other job of its handler is ready
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
	// finds nothing writes nothing. In Postgres new jobs are told of, and many replicas look.
	fetchPollInterval         = 250 * time.Millisecond
	postgresFetchPollInterval = time.Second
	// finishedRetention is how long River keeps finished jobs. The history that people look at is ours.
	finishedRetention = 10 * time.Minute
	// stopMargin is what is left of the time to stop when running jobs are cancelled.
	stopMargin = 5 * time.Second
	// latePriority is the last of River's four priorities.
	latePriority = 4
	// maxDeliveries is as good as without end: how often a step is tried is decided by the pipeline.
	maxDeliveries = 30_000
)

// Queue hands out jobs. It is safe for use by many goroutines.
type Queue struct {
	database *database.DB
	inserter inserter
	client   client
	worker   *worker
	lost     *lost
	replica  *replica // nil in SQLite, where this process is the only one
}

// inserter is River as far as a transaction of the work store needs it.
type inserter interface {
	InsertManyFastTx(ctx context.Context, tx *sql.Tx, params []river.InsertManyParams) (int, error)
}

// client is River as far as it hands out jobs.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

// Open makes a queue with its lanes on a migrated database. Jobs can be inserted
// at once; they are handed out from Start on.
func Open(db *database.DB, config Config, lanes []Lane, log *slog.Logger) (*Queue, error) {
	if db.Kind == database.Postgres {
		return openPostgres(db, config, lanes, postgresFetchPollInterval, log)
	}
	return openSQLite(db, lanes, log)
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
		DiscardedJobRetentionPeriod: finishedRetention,
	}
}

// Insert adds jobs within a transaction of the work store.
func (q *Queue) Insert(ctx context.Context, tx *sql.Tx, jobs []Job) error {
	if len(jobs) == 0 {
		return nil
	}
	if _, err := q.inserter.InsertManyFastTx(ctx, tx, insertions(jobs)); err != nil {
		return fmt.Errorf("queue: insert: %w", err)
	}
	return nil
}

func insertions(jobs []Job) []river.InsertManyParams {
	params := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		options := &river.InsertOpts{Queue: job.Handler, ScheduledAt: job.At}
		if job.Late {
			options.Priority = latePriority
		}
		params[i] = river.InsertManyParams{Args: stepArgs{Event: job.Event, Handler: job.Handler}, InsertOpts: options}
	}
	return params
}

// Start hands out jobs to run until Stop.
func (q *Queue) Start(ctx context.Context, run Run) error {
	q.worker.run = run
	if q.replica != nil {
		if err := q.replica.start(ctx); err != nil {
			return err
		}
	}
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		q.stopWatching()
		return fmt.Errorf("queue: start: %w", err)
	}
	q.lost.start()
	return nil
}

func (q *Queue) stopWatching() {
	q.lost.stop()
	if q.replica != nil {
		q.replica.stop()
	}
}

// Stop takes no more jobs and waits for those that run. Shortly before the
// context's deadline it cancels them; they come again at the next start.
func (q *Queue) Stop(ctx context.Context) error {
	defer q.stopWatching() // as long as jobs run, this replica lives
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
