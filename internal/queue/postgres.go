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
// through a connection pooler. The other listens for jobs, on connections of its own, and runs them.
func openPostgres(db *database.DB, config Config, queues []HandlerQueue, poll time.Duration, log *slog.Logger) (*Queue, error) {
	inserter, err := river.NewClient(riverdatabasesql.New(nil), &river.Config{
		Logger: log, MaxAttempts: maxDeliveries,
		FetchCooldown: time.Millisecond, // River leaves out notices that follow the last one faster; polling finds their jobs
	})
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q := newQueue(db, log)
	q.inserter, q.heartbeat = inserter, newHeartbeat(db, config.Lease, log)
	settings, err := q.riverConfig(queues, log)
	if err != nil {
		return nil, err
	}
	settings.ID, settings.FetchPollInterval = q.heartbeat.id, poll
	client, err := river.NewClient(riverpgxv5.New(db.Pool), settings)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q.client = client
	q.orphans.replica, q.orphans.lease, q.orphans.insert = q.heartbeat.id, config.Lease, client.InsertManyFastTx
	q.orphans.interval = min(confirmAfter, config.Lease/3)
	return q, nil
}
