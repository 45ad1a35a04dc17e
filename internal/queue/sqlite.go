package queue

import (
	"fmt"
	"log/slog"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// openSQLite returns a queue with one River client, which inserts jobs and runs them.
func openSQLite(db *database.DB, queues []HandlerQueue, log *slog.Logger) (*Queue, error) {
	q := newQueue(db, log)
	config, err := q.riverConfig(queues, log)
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riversqlite.New(db.Writer), config)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q.inserter, q.client = client, client
	return q, nil
}
