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
			outage_at = NULL, host = '', reason = (SELECT reason FROM targets WHERE name = $4), detail = (SELECT detail FROM targets WHERE name = $4)
		WHERE event_id = $3 AND handler = $4`, now, now-a.Age.Microseconds(), a.Event, a.Handler)
	if err != nil {
		return err
	}
	return refreshEvent(ctx, tx, a.Event)
}

// maxResumed is the maximum number of steps that one transaction resumes, so that it stays short.
const maxResumed = 200

// Resume makes deferred steps of a handler pending, those that are due or all of them, and returns their number. It resumes some
// at a time, until limit steps of the handler wait for a worker; of a disabled target none, or one for the next probe. The time for which a step was
// deferred does not count as age.
func (s *Store) Resume(ctx context.Context, handler string, all bool, limit int) (int, error) {
	until := s.Now()
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

// isClosed is a condition on a target by its name, $1, and the time, $2: it is disabled and no probe is due.
const isClosed = `EXISTS (SELECT 1 FROM targets WHERE name = $1 AND (probe_at IS NULL OR probe_at > $2 OR probe_at > probe_until))`

// capacity returns how many steps may be resumed; usually 0, because none is due.
func (s *Store) capacity(ctx context.Context, handler string, until time.Time, limit int) (int, error) {
	var due int
	var disabled bool
	err := s.writer.DB.Reader.QueryRowContext(ctx, `SELECT count(*), EXISTS (SELECT 1 FROM targets WHERE name = $1) FROM (SELECT 1 FROM steps
			WHERE deferred_at IS NOT NULL AND handler = $1 AND next_at <= $3 AND NOT `+isClosed+` LIMIT 1) AS due`,
		handler, s.Now().UnixMicro(), until.UnixMicro()).Scan(&due, &disabled)
	if err != nil || due == 0 {
		return 0, database.Wrap("workflow: deferred", err)
	}
	if disabled {
		limit = 1
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
	// The plan of Postgres may run a subquery several times, each with other rows, but not one that is materialized.
	rows, err := database.Query(ctx, tx, `WITH due AS MATERIALIZED (SELECT event_id FROM steps
			WHERE deferred_at IS NOT NULL AND handler = $1 AND next_at <= $3 AND NOT `+isClosed+`
			ORDER BY next_at LIMIT $4 `+lock+`)
		UPDATE steps SET state = 'pending', since = since + ($2 - deferred_at), deferred_at = NULL, next_at = NULL, changed_at = $2
		WHERE handler = $1 AND event_id IN (SELECT event_id FROM due)
		RETURNING event_id`, handler, s.Now().UnixMicro(), until.UnixMicro(), limit)
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
	Alone    int       `json:"deferred_alone"`       // steps, included in Deferred, whose outage concerns each alone
	NextAt   time.Time `json:"next_at,omitzero"`     // of the first deferred step
	Disabled time.Time `json:"disabled_at,omitzero"` // zero if the target is enabled
	ProbeAt  time.Time `json:"probe_at,omitzero"`    // when one step tests whether a disabled target is back; zero if none does
	// Why the target is disabled, or else why the first deferred step was deferred.
	Reason event.Reason `json:"reason,omitempty"`
	Detail string       `json:"detail,omitempty"`
	// Hosts are those that are not allowed, with the number of steps that wait for them.
	Hosts []BlockedHost `json:"blocked_hosts,omitempty"`
}

// BlockedHost is a host of results that is not allowed.
type BlockedHost struct {
	Host  string `json:"host"`
	Steps int    `json:"steps"`
}

// Targets returns the targets that are disabled or have deferred steps, in the order of their names.
func (s *Store) Targets(ctx context.Context) ([]Target, error) {
	list, err := targets(ctx, s.writer.DB.Reader)
	for n := range list {
		if err == nil && list[n].Disabled.IsZero() {
			err = s.addReason(ctx, &list[n])
		}
		if err == nil && list[n].Alone > 0 {
			err = s.addHosts(ctx, &list[n])
		}
	}
	return list, database.Wrap("workflow: targets", err)
}

// addReason sets the reason of the first deferred step of an enabled target.
func (s *Store) addReason(ctx context.Context, t *Target) error {
	const deferred, alone = "deferred_at IS NOT NULL AND handler = $1 ORDER BY next_at LIMIT 1", "outage_at IS NOT NULL AND handler = $1 LIMIT 1"
	condition := deferred
	if t.Deferred == t.Alone {
		condition = alone
	}
	err := s.writer.DB.Reader.QueryRowContext(ctx, "SELECT reason, detail FROM steps WHERE "+condition, t.Name).Scan(&t.Reason, &t.Detail)
	if errors.Is(err, sql.ErrNoRows) { // resumed meanwhile
		return nil
	}
	return err
}

// maxHosts bounds the hosts of one target that are shown.
const maxHosts = 20

// addHosts sets the hosts that are not allowed, those with the most steps first.
func (s *Store) addHosts(ctx context.Context, t *Target) error {
	rows, err := database.Query(ctx, s.writer.DB.Reader, `SELECT host, count(*) FROM steps
		WHERE outage_at IS NOT NULL AND handler = $1 AND host <> '' GROUP BY host ORDER BY count(*) DESC, host LIMIT $2`, t.Name, maxHosts)
	if err != nil {
		return err
	}
	return rows.ForEach(func() error {
		var h BlockedHost
		err := rows.Scan(&h.Host, &h.Steps)
		t.Hosts = append(t.Hosts, h)
		return err
	})
}

func targets(ctx context.Context, from database.Querier) (list []Target, err error) {
	rows, err := database.Query(ctx, from, `
		SELECT name, sum(deferred), sum(alone), coalesce(min(next_at), 0), max(disabled_at), max(probe_at), max(reason), max(detail) FROM (
			SELECT name, 0 AS deferred, 0 AS alone, NULL AS next_at, disabled_at, CASE WHEN probe_at <= probe_until THEN probe_at ELSE 0 END AS probe_at,
				reason, detail FROM targets
			UNION ALL
			SELECT handler, count(*), 0, min(next_at), 0, 0, '', '' FROM steps WHERE deferred_at IS NOT NULL GROUP BY handler
			UNION ALL
			SELECT handler, count(*), count(1), min(next_at), 0, 0, '', '' FROM steps WHERE outage_at IS NOT NULL GROUP BY handler
		) AS found GROUP BY name ORDER BY name`)
	if err != nil {
		return nil, err
	}
	err = rows.ForEach(func() error {
		var t Target
		var next, disabled, probe int64
		err := rows.Scan(&t.Name, &t.Deferred, &t.Alone, &next, &disabled, &probe, &t.Reason, &t.Detail)
		t.NextAt, t.Disabled, t.ProbeAt = database.FromMicros(next), database.FromMicros(disabled), database.FromMicros(probe)
		list = append(list, t)
		return err
	})
	return list, err
}

// Disable disables a target in every replica: its steps are deferred as they begin, and no probe follows. A target that is
// disabled already keeps its reason.
func (s *Store) Disable(ctx context.Context, name string, reason event.Reason, detail string) error {
	return s.writer.Write(ctx, "workflow: disable", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.disable(ctx, tx, name, reason, detail, 0); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE targets SET probe_at = NULL, probe_until = NULL WHERE name = $1", name)
		return err
	})
}

const (
	// probeInterval is the time between two probes of a target that its answer disabled.
	probeInterval = time.Hour
	// probePeriod is how long such a target is probed.
	probePeriod = 24 * time.Hour
)

// disable disables a target, with probes for a period.
func (s *Store) disable(ctx context.Context, tx *sql.Tx, name string, reason event.Reason, detail string, probes time.Duration) error {
	now := s.Now()
	var next, until any
	if probes > 0 {
		next, until = now.Add(probeInterval).UnixMicro(), now.Add(probes).UnixMicro()
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO targets (name, disabled_at, reason, detail, probe_at, probe_until) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name) DO NOTHING`, name, now.UnixMicro(), string(reason), database.SanitizeText(detail), next, until)
	return err
}

// claimProbe reports whether an attempt at a disabled target is its next probe. Only one attempt on all replicas is.
func claimProbe(ctx context.Context, tx *sql.Tx, name string, now time.Time) (bool, error) {
	result, err := tx.ExecContext(ctx, "UPDATE targets SET probe_at = $1 WHERE name = $2 AND probe_at <= $3 AND probe_at <= probe_until",
		now.Add(probeInterval).UnixMicro(), name, now.UnixMicro())
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
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
