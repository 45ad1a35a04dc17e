package queue

// An orphaned job counts as running in the database, but no process works on it.
//
//	What happened                            Who notices                        When the job runs again
//	---------------------------------------  ---------------------------------  -----------------------------------------------
//	The receiver with SQLite was killed      Reclaim, at its next start         at once
//	A replica was killed, paused or cut off  the scan of any other replica, by  after Lease plus a third of it: 30 s to 40 s
//	                                         the heartbeat that is missing
//	The leader of River was killed           the same scan: it ends the         as planned; the new leader moves snoozed jobs
//	                                         leadership                         to the queue within a second
//	A replica stopped before its jobs ended  like a dead one: Stop deletes      after Lease, from the start of the attempt on,
//	                                         its heartbeat                      plus a third of it
//	The database refused the end of a job,   the scan of the same process,      after confirmAfter plus one scan: 20 s to 40 s
//	as on a full disk                        by its list of jobs in flight
//	The outcome of a step was not recorded   River: Run returned an error       after 5 s to 15 s
//	The handler failed                       not orphaned: the outcome says     as the executor decides
//	                                         when the step is tried again
//
// River's own rescuer does nothing: jobs have no timeout.

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

const (
	// confirmAfter is how long a job must look orphaned in its own process. Between River's fetching a job and the begin of
	// Work, and between the end of Work and River's recording of it, a job that is well looks the same.
	confirmAfter = 20 * time.Second
	// maxReassigned is the number of jobs that are reassigned in one transaction.
	maxReassigned = 1000
	scanTimeout   = 30 * time.Second
)

// orphans makes orphaned jobs run again.
type orphans struct {
	*background.Service

	database *database.DB
	inFlight *inFlight
	replica  string // this process as River's client; "" in SQLite, where all running jobs are its own
	lease    time.Duration
	insert   func(ctx context.Context, tx pgx.Tx, params []river.InsertManyParams) (int, error) // in Postgres
	log      *slog.Logger

	interval, confirmAfter time.Duration
	candidates             map[int64]candidate // jobs that looked orphaned at the last scan
}

// candidate is a job that may be orphaned. A job that was fetched again since is another candidate.
type candidate struct {
	attemptedAt string // as the database writes it
	since       time.Time
}

func newOrphans(db *database.DB, jobs *inFlight, log *slog.Logger) *orphans {
	o := &orphans{database: db, inFlight: jobs, log: log, interval: confirmAfter, confirmAfter: confirmAfter}
	o.Service = background.New("queue", background.Loop{
		Pass:   func(ctx context.Context) (time.Duration, error) { return o.interval, o.scan(ctx) },
		Failed: func(err error) { log.Error("orphan scan failed, will retry", "error", err.Error()) },
	})
	return o
}

func (o *orphans) scan(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	if err := o.scanOwn(ctx); err != nil {
		return fmt.Errorf("queue: own jobs: %w", err)
	}
	if o.database.Kind != database.Postgres {
		return nil
	}
	if err := o.replaceLeader(ctx); err != nil {
		return fmt.Errorf("queue: leader: %w", err)
	}
	for {
		n, err := o.reassign(ctx)
		if err != nil {
			return fmt.Errorf("queue: jobs of dead replicas: %w", err)
		}
		if n > 0 {
			o.log.Warn("jobs of a dead replica reassigned", "jobs", n)
		}
		if n < maxReassigned {
			return nil
		}
	}
}

// scanOwn makes jobs of this process available that run in the database only, and have done so for confirmAfter.
func (o *orphans) scanOwn(ctx context.Context) error {
	running, err := o.running(ctx)
	if err != nil {
		return err
	}
	candidates := map[int64]candidate{}
	for id, attemptedAt := range running {
		if o.inFlight.has(id) {
			continue
		}
		c, ok := o.candidates[id]
		if !ok || c.attemptedAt != attemptedAt {
			c = candidate{attemptedAt: attemptedAt, since: time.Now()}
		}
		if time.Since(c.since) < o.confirmAfter {
			candidates[id] = c
			continue
		}
		_, err := o.database.Writer.ExecContext(ctx,
			"UPDATE river_job SET state = 'available' WHERE id = $1 AND coalesce(CAST(attempted_at AS TEXT), '') = $2 AND state = 'running'", id, attemptedAt)
		if err != nil {
			return err
		}
		o.log.Warn("orphaned job made available", "id", id)
	}
	o.candidates = candidates
	return nil
}

// running returns when each job that counts as running in this process was fetched, by the job's id.
func (o *orphans) running(ctx context.Context) (map[int64]string, error) {
	query, args := "SELECT id, coalesce(CAST(attempted_at AS TEXT), '') FROM river_job WHERE state = 'running' AND kind = 'step'", []any(nil)
	if o.database.Kind == database.Postgres {
		query, args = query+" AND attempted_by[array_upper(attempted_by, 1)] = $1", []any{o.replica}
	}
	rows, err := o.database.Reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	running := map[int64]string{}
	for rows.Next() {
		var id int64
		var attemptedAt string
		if err := rows.Scan(&id, &attemptedAt); err != nil {
			return nil, err
		}
		running[id] = attemptedAt
	}
	return running, rows.Err()
}

// reassign discards the jobs of replicas without a heartbeat and inserts new ones in their place, in one transaction. A replica
// that was only paused finds its job discarded and cannot end the one that another replica works on. Replicas that scan at the
// same time skip each other's jobs.
func (o *orphans) reassign(ctx context.Context) (n int, err error) {
	err = pgx.BeginFunc(ctx, o.database.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM replicas WHERE seen_at < now() - interval '1 day'"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE id IN (
				SELECT id FROM river_job WHERE state = 'running' AND kind = 'step' AND attempted_at < now() - $1::interval
				AND NOT EXISTS (SELECT 1 FROM replicas WHERE replicas.id = attempted_by[array_upper(attempted_by, 1)] AND seen_at > now() - $1::interval)
				ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
			RETURNING args ->> 'event', args ->> 'handler'`, o.lease, maxReassigned)
		if err != nil {
			return err
		}
		jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (job Job, err error) {
			err = row.Scan(&job.Event, &job.Handler)
			return job, err
		})
		if n = len(jobs); err != nil || n == 0 {
			return err
		}
		_, err = o.insert(ctx, tx, insertions(jobs))
		return err
	})
	return n, err
}

// replaceLeader ends the leadership of a replica without a heartbeat, and announces it as River does when a leader resigns: the
// others elect a new one at once. River itself waits up to 21 seconds, in which no job that was snoozed runs.
func (o *orphans) replaceLeader(ctx context.Context) error {
	_, err := o.database.Pool.Exec(ctx, `WITH ended AS (
			DELETE FROM river_leader WHERE elected_at < now() - $1::interval
			AND NOT EXISTS (SELECT 1 FROM replicas WHERE replicas.id = leader_id AND seen_at > now() - $1::interval)
			RETURNING leader_id)
		SELECT pg_notify(current_schema() || '.river_leadership', json_build_object('leader_id', leader_id, 'action', 'resigned')::text)
		FROM ended`, o.lease)
	return err
}

// Reclaim makes the jobs available that an earlier process was working on when it died, and takes over its leadership of River.
// It must be called before Start, and only by the one process that holds the data folder. In Postgres it does nothing, because
// other replicas may be working on theirs.
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

// inFlight is the set of jobs that this process is working on. It is safe for use by many goroutines.
type inFlight struct {
	mutex sync.Mutex
	ids   map[int64]struct{}
}

// acquire adds a job until release is called. It returns false if the job is in flight: River keeps one row for both runs and
// would take the end of one for that of the other.
func (f *inFlight) acquire(id int64) (release func(), ok bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if _, found := f.ids[id]; found {
		return nil, false
	}
	f.ids[id] = struct{}{}
	return func() {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		delete(f.ids, id)
	}, true
}

func (f *inFlight) has(id int64) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	_, found := f.ids[id]
	return found
}
