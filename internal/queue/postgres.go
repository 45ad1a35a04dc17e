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

// openPostgres returns a queue that many replicas share. One River client inserts jobs in transactions of the work store, also
// through a connection pooler, and another those of dead replicas. The third listens for jobs, on connections of its own, and runs them.
func openPostgres(db *database.DB, config Config, queues []HandlerQueue, poll time.Duration, log *slog.Logger) (*Queue, error) {
	inserting := &river.Config{
		Logger: log, MaxAttempts: maxDeliveries, Test: river.TestConfig{Time: insertTime{serverTime{db}}},
		FetchCooldown: time.Millisecond, // River leaves out notices that follow the last one faster; polling finds their jobs
	}
	inserter, err := river.NewClient(riverdatabasesql.New(nil), inserting)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	reassigner, err := river.NewClient(riverpgxv5.New(db.Pool), inserting)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q := newQueue(db, log)
	q.inserter, q.heartbeat = inserter, newHeartbeat(db, config.Lease, log)
	settings, err := q.riverConfig(config, queues, log)
	if err != nil {
		return nil, err
	}
	settings.ID, settings.FetchPollInterval, settings.Test.Time = q.heartbeat.id, poll, serverTime{db}
	client, err := river.NewClient(riverpgxv5.New(db.Pool), settings)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q.client = client
	q.orphans.replica, q.orphans.lease, q.orphans.insert = q.heartbeat.id, config.Lease, reassigner.InsertManyFastTx
	q.orphans.interval = min(confirmAfter, config.Lease/3)
	return q, nil
}
