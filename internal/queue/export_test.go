package queue

import (
	"log/slog"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// OpenPolling is Open in Postgres with another time between two looks for work that nobody told of.
func OpenPolling(db *database.DB, config Config, lanes []Lane, poll time.Duration, log *slog.Logger) (*Queue, error) {
	return openPostgres(db, config, lanes, poll, log)
}

// LookForLostEvery makes a queue look sooner; it is called before Start.
func (q *Queue) LookForLostEvery(interval time.Duration) { q.lost.every = interval }

// ReplicaID is the name of this process as a replica.
func (q *Queue) ReplicaID() string { return q.replica.id }

// FallSilent ends the signs of life, as when the process is paused or cut off.
func (q *Queue) FallSilent() {
	q.replica.cancel()
	<-q.replica.done
}
