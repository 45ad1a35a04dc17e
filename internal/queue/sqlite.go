package queue

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// openSQLite makes a queue in which one client both inserts and hands out.
func openSQLite(db *database.DB, lanes []Lane, log *slog.Logger) (*Queue, error) {
	lost := newLost(db, "", log)
	q := &Queue{database: db, worker: &worker{lost: lost}, lost: lost}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, q.worker); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	client, err := river.NewClient(riversqlite.New(db.Writer), configuration(lanes, workers, log))
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q.inserter, q.client = client, client
	return q, nil
}

// Reclaim makes jobs available again that an earlier process was working on when
// it died, and takes over its leadership. It is right only while this process
// holds the data folder for itself and before Start. In Postgres there is no such
// time, and it does nothing: what a dead replica leaves is found by its silence.
func (q *Queue) Reclaim(ctx context.Context) (jobs int64, err error) {
	if q.database.Kind != database.SQLite {
		return 0, nil
	}
	result, err := q.database.Writer.ExecContext(ctx, "UPDATE river_job SET state = 'available' WHERE state = 'running'")
	if err != nil {
		return 0, fmt.Errorf("queue: reclaim: %w", err)
	}
	if _, err := q.database.Writer.ExecContext(ctx, "DELETE FROM river_leader"); err != nil {
		return 0, fmt.Errorf("queue: reclaim: %w", err)
	}
	return result.RowsAffected()
}
