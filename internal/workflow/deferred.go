package workflow

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// deferStep defers a step whose target is disabled. It is due as soon as the target is enabled.
func deferStep(ctx context.Context, tx *sql.Tx, a Attempt) error {
	now := a.Started.UnixMicro()
	_, err := tx.ExecContext(ctx, `UPDATE steps SET state = 'retrying', deferred_at = $1, next_at = $1, since = $2, changed_at = $1,
			reason = (SELECT reason FROM targets WHERE name = $4), detail = (SELECT detail FROM targets WHERE name = $4)
		WHERE event_id = $3 AND handler = $4`, now, now-a.Age.Microseconds(), a.Event, a.Handler)
	if err != nil {
		return err
	}
	return refreshEvent(ctx, tx, a.Event)
}

// maxResumed is the maximum number of steps that one transaction resumes, so that it stays short.
const maxResumed = 200

// Resume makes deferred steps of a handler pending, those that are due or all of them, and returns their number. It resumes some
// at a time, until limit steps of the handler wait for a worker, and none while the target is disabled. The time for which a step was
// deferred does not count as age.
func (s *Store) Resume(ctx context.Context, handler string, all bool, limit int) (int, error) {
	until := time.Now()
	if all {
		until = until.AddDate(1, 0, 0)
	}
	capacity, err := s.capacity(ctx, handler, until, limit)
	if err != nil || capacity == 0 {
		return 0, err
	}
	resumed := 0
	err = s.writer.Write(ctx, "workflow: resume", func(ctx context.Context, tx *sql.Tx) error {
		jobs, err := s.resume(ctx, tx, handler, until, capacity)
		if err != nil {
			return err
		}
		resumed = len(jobs)
		return s.queue.Insert(ctx, tx, jobs)
	})
	return resumed, err
}

// capacity returns how many steps may be resumed; usually 0, because none is due.
func (s *Store) capacity(ctx context.Context, handler string, until time.Time, limit int) (int, error) {
	var due int
	err := s.writer.DB.Reader.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM steps
			WHERE deferred_at IS NOT NULL AND handler = $1 AND next_at <= $2
			AND NOT EXISTS (SELECT 1 FROM targets WHERE name = $1) LIMIT 1) AS due`, handler, until.UnixMicro()).Scan(&due)
	if err != nil || due == 0 {
		return 0, database.Wrap("workflow: deferred", err)
	}
	pending, err := s.Pending(ctx, handler, limit)
	return min(limit-pending, maxResumed), err
}

// resume makes at most limit deferred steps pending, and returns their queue jobs.
func (s *Store) resume(ctx context.Context, tx *sql.Tx, handler string, until time.Time, limit int) ([]queue.Job, error) {
	lock := ""
	if s.writer.DB.Kind == database.Postgres {
		lock = "FOR UPDATE SKIP LOCKED" // another replica resumes those
	}
	rows, err := database.Query(ctx, tx, `UPDATE steps
		SET state = 'pending', since = since + ($1 - deferred_at), deferred_at = NULL, next_at = NULL, changed_at = $1
		WHERE handler = $2 AND event_id IN (SELECT event_id FROM steps
			WHERE deferred_at IS NOT NULL AND handler = $2 AND next_at <= $3
			AND NOT EXISTS (SELECT 1 FROM targets WHERE name = $2)
			ORDER BY next_at LIMIT $4 `+lock+`)
		RETURNING event_id`, time.Now().UnixMicro(), handler, until.UnixMicro(), limit)
	if err != nil {
		return nil, err
	}
	var jobs []queue.Job
	err = rows.ForEach(func() error {
		job := queue.Job{Handler: handler}
		err := rows.Scan(&job.Event)
		jobs = append(jobs, job)
		return err
	})
	return jobs, err
}

// Target is the remote system of the steps of one name.
type Target struct {
	Name     string    `json:"name"`
	Deferred int       `json:"deferred"`             // steps
	NextAt   time.Time `json:"next_at,omitzero"`     // of the first deferred step
	Disabled time.Time `json:"disabled_at,omitzero"` // zero if the target is enabled
	// Why the target is disabled, or else why the first deferred step was deferred.
	Reason event.Reason `json:"reason,omitempty"`
	Detail string       `json:"detail,omitempty"`
}

// Targets returns the targets that are disabled or have deferred steps, in the order of their names.
func (s *Store) Targets(ctx context.Context) ([]Target, error) {
	list, err := targets(ctx, s.writer.DB.Reader)
	for n := range list {
		if err == nil && list[n].Disabled.IsZero() {
			err = s.addReason(ctx, &list[n])
		}
	}
	return list, database.Wrap("workflow: targets", err)
}

// addReason sets the reason of the first deferred step of an enabled target.
func (s *Store) addReason(ctx context.Context, t *Target) error {
	err := s.writer.DB.Reader.QueryRowContext(ctx, `SELECT reason, detail FROM steps
		WHERE deferred_at IS NOT NULL AND handler = $1 ORDER BY next_at LIMIT 1`, t.Name).Scan(&t.Reason, &t.Detail)
	if errors.Is(err, sql.ErrNoRows) { // resumed meanwhile
		return nil
	}
	return err
}

func targets(ctx context.Context, from database.Querier) (list []Target, err error) {
	rows, err := database.Query(ctx, from, `
		SELECT name, sum(deferred), max(next_at), max(disabled_at), max(reason), max(detail) FROM (
			SELECT name, 0 AS deferred, 0 AS next_at, disabled_at, reason, detail FROM targets
			UNION ALL
			SELECT handler, count(*), min(next_at), 0, '', '' FROM steps WHERE deferred_at IS NOT NULL GROUP BY handler
		) AS found GROUP BY name ORDER BY name`)
	if err != nil {
		return nil, err
	}
	err = rows.ForEach(func() error {
		var t Target
		var next, disabled int64
		err := rows.Scan(&t.Name, &t.Deferred, &next, &disabled, &t.Reason, &t.Detail)
		t.NextAt, t.Disabled = database.FromMicros(next), database.FromMicros(disabled)
		list = append(list, t)
		return err
	})
	return list, err
}

// Disable disables a target in every replica: its steps are deferred as they begin. A target that is disabled already keeps its reason.
func (s *Store) Disable(ctx context.Context, name string, reason event.Reason, detail string) error {
	return s.writer.Write(ctx, "workflow: disable", func(ctx context.Context, tx *sql.Tx) error {
		return disable(ctx, tx, name, reason, detail)
	})
}

func disable(ctx context.Context, tx *sql.Tx, name string, reason event.Reason, detail string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO targets (name, disabled_at, reason, detail) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO NOTHING`, name, time.Now().UnixMicro(), string(reason), database.SanitizeText(detail))
	return err
}

// Enable enables a target and reports whether it was disabled. Its deferred steps are due at once.
func (s *Store) Enable(ctx context.Context, name string) (was bool, err error) {
	err = s.writer.Write(ctx, "workflow: enable", func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "DELETE FROM targets WHERE name = $1", name)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		was = rows > 0
		return err
	})
	return was, err
}
