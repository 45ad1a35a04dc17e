package queue

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// Depth is the number of jobs of one handler.
type Depth struct {
	Ready     int64 // waiting for a worker
	Running   int64
	Scheduled int64 // for later, because their steps are retried
}

// Depths counts the jobs by handler. With a million jobs that takes a second.
func (q *Queue) Depths(ctx context.Context) (map[string]Depth, error) {
	rows, err := database.Query(ctx, q.database.Reader, `SELECT queue, state, count(*) FROM river_job
		WHERE state IN ('available', 'pending', 'running', 'scheduled', 'retryable') GROUP BY queue, state`)
	if err != nil {
		return nil, database.Wrap("queue: depths", err)
	}
	depths := map[string]Depth{}
	err = rows.ForEach(func() error {
		var handler, state string
		var n int64
		if err := rows.Scan(&handler, &state, &n); err != nil {
			return err
		}
		depth := depths[handler]
		switch state {
		case "available", "pending":
			depth.Ready += n
		case "running":
			depth.Running += n
		default:
			depth.Scheduled += n
		}
		depths[handler] = depth
		return nil
	})
	for handler, limit := range q.worker.slots { // a job that was fetched ahead is not running yet
		depth := depths[handler]
		if waiting := min(limit.countWaiting(), depth.Running); waiting > 0 {
			depth.Ready, depth.Running = depth.Ready+waiting, depth.Running-waiting
			depths[handler] = depth
		}
	}
	return depths, database.Wrap("queue: depths", err)
}
