package queue

import (
	"context"
	"log/slog"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// OpenPolling is Open with another interval between two looks for jobs that no notice announced.
func OpenPolling(db *database.DB, config Config, queues []HandlerQueue, poll time.Duration, log *slog.Logger) (*Queue, error) {
	if db.Kind == database.SQLite {
		return openSQLite(db, config, queues, poll, log)
	}
	return openPostgres(db, config, queues, poll, log)
}

// ConfirmOrphansAfter shortens the orphan scan. It must be called before Start.
func (q *Queue) ConfirmOrphansAfter(confirmAfter time.Duration) {
	q.orphans.confirmAfter, q.orphans.interval = confirmAfter, confirmAfter/2
}

// ReplicaID returns the name of this process as a replica.
func (q *Queue) ReplicaID() string { return q.heartbeat.id }

// StopHeartbeat ends the heartbeat, as when the process is paused or cut off.
func (q *Queue) StopHeartbeat(ctx context.Context) error { return q.heartbeat.service.Stop(ctx) }

// Waiting returns how many jobs of a handler wait for slots.
func (q *Queue) Waiting(handler string) int {
	limit := q.worker.slots[handler]
	limit.mutex.Lock()
	defer limit.mutex.Unlock()
	return len(limit.waiting[0]) + len(limit.waiting[1])
}
