package workflow

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// The times of steps are those of the clock of the database. When that jumps, or no process ran for a while, their ages must not
// grow, and their next attempts must not be in a distant future.
//
// The row of the table clock has the time at which a process last looked. By it one of several replicas notices what happened.

const (
	// clockPause is how old the time in the store may be before a process replaces it.
	clockPause = 5 * time.Second
	// minDowntime is the shortest time without a process that does not count as age, and the smallest jump in Postgres that is
	// corrected: a replica notices a smaller one too late.
	minDowntime = 6 * clockPause
)

// RecordTime records the time of the database, at most once in clockPause.
func (s *Store) RecordTime(ctx context.Context) error {
	now := s.Now()
	_, err := s.writer.Exec(ctx, "UPDATE clock SET seen_at = $1 WHERE seen_at < $2", now.UnixMicro(), now.Add(-clockPause).UnixMicro())
	return database.Wrap("workflow: record time", err)
}

// CorrectStart corrects the times of open steps at the start of a process: by the time for which no process ran, or by which the
// clock of the database went back meanwhile. It also bounds the delays of next attempts by longest. It returns the correction.
func (s *Store) CorrectStart(ctx context.Context, longest time.Duration) (gap time.Duration, err error) {
	err = s.writer.Write(ctx, "workflow: correct start", func(ctx context.Context, tx *sql.Tx) error {
		gap = 0
		now := s.Now()
		var seen int64
		err := tx.QueryRowContext(ctx, "SELECT seen_at FROM clock").Scan(&seen)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			_, err = tx.ExecContext(ctx, "INSERT INTO clock (id, seen_at) VALUES (1, $1) ON CONFLICT DO NOTHING", now.UnixMicro())
		case err == nil:
			if gap = now.Sub(time.UnixMicro(seen)); gap.Abs() < minDowntime {
				gap = 0
			} else {
				gap, err = s.shift(ctx, tx, seen, now, gap)
			}
		}
		if err != nil {
			return err
		}
		return boundDelays(ctx, tx, now, longest)
	})
	return gap, err
}

// CorrectJump corrects the times of open steps after the clock of the database has jumped, as the reading shows, and makes the reading
// count. It returns the correction; 0 if another replica has made it.
func (s *Store) CorrectJump(ctx context.Context, r database.Reading) (jump time.Duration, err error) {
	db := s.writer.DB
	err = s.writer.Write(ctx, "workflow: correct jump", func(ctx context.Context, tx *sql.Tx) error {
		before := s.Now()
		drift := db.Drift(r)
		jump = 0
		if db.Kind == database.SQLite || drift.Abs() >= minDowntime {
			var seen int64
			if err := tx.QueryRowContext(ctx, "SELECT seen_at FROM clock").Scan(&seen); err != nil {
				return err
			}
			// If the time in the store is not the one before the jump, another replica has corrected the steps.
			if db.Kind == database.SQLite || before.Sub(time.UnixMicro(seen)).Abs() < drift.Abs()/2 {
				if jump, err = s.shift(ctx, tx, seen, before.Add(drift), drift); err != nil {
					return err
				}
			}
		}
		db.AdoptClock(r)
		return nil
	})
	return jump, err
}

// shift corrects the times of open steps by d, unless another replica has replaced the time seen by now. After a jump back all their
// times move. After a jump ahead only their ages stay: they are due earlier, which does no harm.
func (s *Store) shift(ctx context.Context, tx *sql.Tx, seen int64, now time.Time, d time.Duration) (time.Duration, error) {
	result, err := tx.ExecContext(ctx, "UPDATE clock SET seen_at = $1 WHERE seen_at = $2", now.UnixMicro(), seen)
	if err != nil {
		return 0, err
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return 0, err
	}
	const open = " WHERE (state IN ('running', 'retrying', 'quarantined') OR state = 'pending' AND attempt > 0)"
	statements := []string{
		"UPDATE steps SET since = since + $1" + open + " AND deferred_at IS NULL", // Resume adds the time of a deferral
		"UPDATE tracked_jobs SET horizon_at = horizon_at + $1 WHERE next_at IS NOT NULL",
		"UPDATE targets SET probe_until = probe_until + $1",
	}
	if d < 0 {
		statements = []string{
			"UPDATE steps SET since = since + $1, next_at = next_at + $1, deferred_at = deferred_at + $1" + open,
			"UPDATE tracked_jobs SET next_at = next_at + $1, horizon_at = horizon_at + $1, lease_until = lease_until + $1 WHERE next_at IS NOT NULL",
			"UPDATE targets SET probe_at = probe_at + $1, probe_until = probe_until + $1",
			"UPDATE bulk_replays SET lease_until = lease_until + $1 WHERE slot = 1",
			"UPDATE retention SET lease_until = lease_until + $1",
		}
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement, d.Microseconds()); err != nil {
			return 0, err
		}
	}
	return d, nil
}

// maxDeferral is the longest time for which the executor defers a step.
const maxDeferral = 24 * time.Hour

// boundDelays bounds the times of next attempts, which a wrong clock may have set.
func boundDelays(ctx context.Context, tx *sql.Tx, now time.Time, longest time.Duration) error {
	for statement, bound := range map[string]time.Duration{
		"UPDATE steps SET next_at = $1 WHERE next_at > $1 AND state = 'retrying' AND deferred_at IS NULL": longest,
		"UPDATE steps SET next_at = $1 WHERE next_at > $1 AND deferred_at IS NOT NULL":                    maxDeferral,
		"UPDATE steps SET next_at = $1 WHERE next_at > $1 AND state = 'quarantined'":                      maxDeferral,
	} {
		if _, err := tx.ExecContext(ctx, statement, now.Add(bound).UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}
