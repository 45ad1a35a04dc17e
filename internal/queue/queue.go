// Package queue hands out steps to be run. It wraps River, with one queue per handler, so that a slow handler delays no other.
// A job carries only the names of an event and a handler; their data is in the work store.
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
)

// Config is how replicas share the jobs in Postgres.
type Config struct {
	Lease time.Duration `envconfig:"LEASE" default:"30s" range:"2s..10m" desc:"in Postgres: time without a heartbeat of a replica after which others take its jobs"`
	// Finished is how long River keeps finished jobs; 0 is for ever. The history of the steps is in the work store.
	Finished time.Duration `envconfig:"-"`
}

// finished returns Finished as River wants it.
func (c Config) finished() time.Duration {
	if c.Finished == 0 {
		return -1
	}
	return c.Finished
}

// Job is one step to be run.
type Job struct {
	Event   event.ID
	Handler string
	At      time.Time // when it may run at the earliest; zero is at once
	Late    bool      // it runs only when no other job of its handler is ready
}

// Run works on a job. It returns nil when the job is done, and *Snooze to run it again later. Any other error says that the
// outcome could not be recorded: the job runs again within seconds.
type Run func(ctx context.Context, job Job) error

// Snooze is the error by which Run puts its job off.
type Snooze struct{ Duration time.Duration }

// Error returns the duration as text.
func (s *Snooze) Error() string { return fmt.Sprintf("queue: snoozed for %s", s.Duration) }

// HandlerQueue is the queue of one handler.
type HandlerQueue struct {
	Handler     string
	Concurrency int // jobs at the same time
}

const (
	// fetchCooldown is the shortest time between two looks for jobs. River's default of 100 ms would limit many workers. In SQLite looks
	// are less frequent while enough jobs wait for slots.
	fetchCooldown = 2 * time.Millisecond
	// fetchPollInterval is the longest time between two looks for jobs: notices announce them, but one can be lost. In Postgres it
	// is also the delay of a job that was snoozed shortly. A look that finds nothing writes nothing.
	fetchPollInterval = time.Second
	// stopMargin is the time that is left for Stop when it cancels running jobs.
	stopMargin = 5 * time.Second
	// latePriority is the last of River's four priorities.
	latePriority = 4
	// maxDeliveries is practically no limit: the executor limits the attempts of a step.
	maxDeliveries = 30_000
)

// Queue hands out jobs. It is safe for use by many goroutines.
type Queue struct {
	database  *database.DB
	inserter  inserter
	client    client
	worker    *worker
	orphans   *orphans
	heartbeat *heartbeat // nil in SQLite, where this process is the only one
	notices   *notices   // nil in Postgres, which has its own
}

// inserter is the part of River's client that inserts jobs in a transaction of the work store.
type inserter interface {
	InsertManyFastTx(ctx context.Context, tx *sql.Tx, params []river.InsertManyParams) (int, error)
}

// client is the part of River's client that runs jobs.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

// Open returns a queue with a queue for each handler, on a migrated database. Jobs can be inserted at once; they run from Start
// on.
func Open(db *database.DB, config Config, queues []HandlerQueue, log *slog.Logger) (*Queue, error) {
	if db.Kind == database.Postgres {
		return openPostgres(db, config, queues, fetchPollInterval, log)
	}
	return openSQLite(db, config, queues, fetchPollInterval, log)
}

// openSQLite returns a queue with one River client, which inserts jobs and runs them.
func openSQLite(db *database.DB, settings Config, queues []HandlerQueue, poll time.Duration, log *slog.Logger) (*Queue, error) {
	q := newQueue(db, log)
	config, err := q.riverConfig(settings, queues, log)
	if err != nil {
		return nil, err
	}
	config.FetchPollInterval = poll
	q.worker.slots = make(map[string]*slots, len(queues))
	for _, each := range queues {
		limit := newSlots(each.Concurrency)
		q.worker.slots[each.Handler] = limit
		config.Queues[each.Handler] = river.QueueConfig{MaxWorkers: each.Concurrency + limit.ahead}
	}
	announced := newNotices()
	db.OnEnd(announced.end)
	client, err := river.NewClient(&localDriver{riversqlite.New(db.Writer), announced, q.worker.slots}, config)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q.inserter, q.client, q.notices = client, client, announced
	return q, nil
}

func newQueue(db *database.DB, log *slog.Logger) *Queue {
	jobs := &inFlight{ids: map[int64]struct{}{}}
	return &Queue{database: db, worker: &worker{inFlight: jobs}, orphans: newOrphans(db, jobs, log)}
}

func (q *Queue) riverConfig(config Config, queues []HandlerQueue, log *slog.Logger) (*river.Config, error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, q.worker); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	byHandler := make(map[string]river.QueueConfig, len(queues))
	for _, each := range queues {
		byHandler[each.Handler] = river.QueueConfig{MaxWorkers: each.Concurrency}
	}
	return &river.Config{
		Logger:        log,
		Queues:        byHandler,
		Workers:       workers,
		FetchCooldown: fetchCooldown,
		// The executor sets the deadline of each attempt. Without a timeout River's rescuer leaves jobs to the orphan scan.
		JobTimeout:                  -1,
		MaxAttempts:                 maxDeliveries,
		RetryPolicy:                 retryPolicy{q.database.Now},
		CompletedJobRetentionPeriod: config.finished(),
		DiscardedJobRetentionPeriod: config.finished(),
	}, nil
}

// Insert adds jobs within a transaction of the work store.
func (q *Queue) Insert(ctx context.Context, tx *sql.Tx, jobs []Job) error {
	if len(jobs) == 0 {
		return nil
	}
	if _, err := q.inserter.InsertManyFastTx(ctx, tx, insertions(jobs)); err != nil {
		return fmt.Errorf("queue: insert: %w", err)
	}
	if q.notices != nil {
		q.notices.announce(jobs)
	}
	return nil
}

// RunNow makes the scheduled job of a step available within a transaction of the work store. If there is none, it inserts one.
func (q *Queue) RunNow(ctx context.Context, tx *sql.Tx, job Job) error {
	now := "datetime('now', 'subsec')"
	if q.database.Kind == database.Postgres {
		now = "now()"
	}
	result, err := tx.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = `+now+`
		WHERE queue = $1 AND args ->> 'event' = $2 AND state IN ('scheduled', 'retryable', 'available')`, job.Handler, string(job.Event))
	if err != nil {
		return fmt.Errorf("queue: run now: %w", err)
	}
	if moved, err := result.RowsAffected(); err != nil || moved == 0 {
		return errors.Join(err, q.Insert(ctx, tx, []Job{job}))
	}
	if q.notices != nil {
		q.notices.announce([]Job{job})
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

// ReleaseScheduled makes the jobs available that are scheduled later than delay from now, and returns their number. Their steps decide
// when they run. The clock was wrong when they were scheduled, or when River made them available: a job is not fetched before its time
// in either state.
func (q *Queue) ReleaseScheduled(ctx context.Context, delay time.Duration) (int64, error) {
	statement := `UPDATE river_job SET state = 'available', scheduled_at = datetime('now', 'subsec')
		WHERE state IN ('scheduled', 'retryable', 'available') AND scheduled_at > datetime('now', 'subsec', $1 || ' seconds')`
	if q.database.Kind == database.Postgres {
		statement = `UPDATE river_job SET state = 'available', scheduled_at = now()
			WHERE state IN ('scheduled', 'retryable', 'available') AND scheduled_at > now() + make_interval(secs => $1)`
	}
	result, err := q.database.Writer.ExecContext(ctx, statement, delay.Seconds())
	if err != nil {
		return 0, fmt.Errorf("queue: release scheduled: %w", err)
	}
	return result.RowsAffected()
}

// Start hands out jobs to run until Stop.
func (q *Queue) Start(ctx context.Context, run Run) error {
	q.worker.run = run
	if q.heartbeat != nil {
		if err := q.heartbeat.start(ctx); err != nil {
			return err
		}
	}
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		q.stopServices()
		return fmt.Errorf("queue: start: %w", err)
	}
	q.orphans.Start()
	return nil
}

func (q *Queue) stopServices() {
	_ = q.orphans.Stop(context.Background()) // fails only when its context ends
	if q.heartbeat != nil {
		q.heartbeat.stop()
	}
}

// Stop fetches no more jobs and waits for those that run. Shortly before the deadline of ctx it cancels them; they run again at
// the next start.
func (q *Queue) Stop(ctx context.Context) error {
	defer q.stopServices() // the heartbeat lasts as long as jobs run
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		margin := min(stopMargin, time.Until(deadline)/2)
		waiting, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
	}
	defer cancel()
	for _, limit := range q.worker.slots {
		limit.end()
	}
	err := q.client.Stop(waiting)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = q.client.StopAndCancel(ctx)
	}
	if err != nil {
		return fmt.Errorf("queue: stop: %w", err)
	}
	return nil
}
