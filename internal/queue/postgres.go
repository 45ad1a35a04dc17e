package queue

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// housekeeping is the queue of the periodic work that one replica does for all: River's leader
// puts it there, and whoever is free does it.
const housekeeping = "housekeeping"

// openPostgres makes a queue that many replicas share. Jobs are inserted in transactions of the work
// store, whatever its connections lead through, and handed out by a client that listens for them.
func openPostgres(db *database.DB, config Config, lanes []Lane, poll time.Duration, log *slog.Logger) (*Queue, error) {
	inserter, err := river.NewClient(riverdatabasesql.New(nil), &river.Config{
		Logger: log, MaxAttempts: maxDeliveries,
		FetchCooldown: time.Millisecond, // so long after one notice River leaves out the next; a look every second finds what that misses
	})
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	replica := newReplica(db, config.Lease, log)
	lost := newLost(db, replica.id, log)
	q := &Queue{database: db, inserter: inserter, worker: &worker{lost: lost}, lost: lost, replica: replica}
	rescue := &rescueWorker{database: db, lease: config.Lease, log: log}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, q.worker); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	if err := river.AddWorkerSafely(workers, rescue); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	settings := configuration(lanes, workers, log)
	settings.ID = replica.id
	settings.FetchPollInterval = poll
	settings.Queues[housekeeping] = river.QueueConfig{MaxWorkers: 1}
	settings.PeriodicJobs = []*river.PeriodicJob{river.NewPeriodicJob(
		river.PeriodicInterval(config.Lease/3), rescueJob, &river.PeriodicJobOpts{RunOnStart: true})}
	client, err := river.NewClient(riverpgxv5.New(db.Pool), settings)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q.client, rescue.insert = client, client.InsertManyFastTx
	return q, nil
}
