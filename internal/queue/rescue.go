package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// rescueArgs is the periodic job that looks for what dead replicas left.
type rescueArgs struct{}

// Kind is River's name for this sort of job.
func (rescueArgs) Kind() string { return "rescue" }

func rescueJob() (river.JobArgs, *river.InsertOpts) {
	return rescueArgs{}, &river.InsertOpts{Queue: housekeeping, MaxAttempts: 1}
}

const (
	maxRescued    = 1000 // jobs in one transaction
	rescueTimeout = 30 * time.Second
)

// rescueWorker gives the jobs of replicas that fell silent to those that live. The old job is
// discarded and a new one made in its place, in one transaction: a replica that was only paused
// finds its job gone when it wakes, and cannot end the one that another works on now.
type rescueWorker struct {
	river.WorkerDefaults[rescueArgs]
	database *database.DB
	lease    time.Duration
	log      *slog.Logger
	insert   func(ctx context.Context, tx pgx.Tx, params []river.InsertManyParams) (int, error)
}

// Work rescues what there is to rescue.
func (r *rescueWorker) Work(ctx context.Context, _ *river.Job[rescueArgs]) error {
	ctx, cancel := context.WithTimeout(ctx, rescueTimeout)
	defer cancel()
	for {
		rescued, err := r.rescue(ctx)
		if err != nil {
			return fmt.Errorf("queue: rescue: %w", err)
		}
		if rescued > 0 {
			r.log.WarnContext(ctx, "work of a replica that gives no sign of life is given to others", "jobs", rescued)
		}
		if rescued < maxRescued {
			return nil
		}
	}
}

func (r *rescueWorker) rescue(ctx context.Context) (rescued int, err error) {
	err = pgx.BeginFunc(ctx, r.database.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM replicas WHERE seen_at < now() - interval '1 day'"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE id IN (
				SELECT id FROM river_job WHERE state = 'running' AND kind = 'step' AND attempted_at < now() - $1::interval
				AND NOT EXISTS (SELECT 1 FROM replicas WHERE replicas.id = attempted_by[array_upper(attempted_by, 1)] AND seen_at > now() - $1::interval)
				ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
			RETURNING args ->> 'event', args ->> 'handler'`, r.lease, maxRescued)
		if err != nil {
			return err
		}
		jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (job Job, err error) {
			err = row.Scan(&job.Event, &job.Handler)
			return job, err
		})
		if rescued = len(jobs); err != nil || rescued == 0 {
			return err
		}
		_, err = r.insert(ctx, tx, insertions(jobs))
		return err
	})
	return rescued, err
}
