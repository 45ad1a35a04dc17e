package retention

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// erasure is a job that is being erased.
type erasure struct {
	job       string
	images    bool // the stored files are deleted too
	requested time.Time
	removed   bool // it has ended and is looked at once more
}

// erasedDetail is the detail of a step whose job is erased, and of its tracked job.
const erasedDetail = "Erased by a person."

// knows reports whether the work store has an event of a job, or tracks it.
func (s *Store) knows(ctx context.Context, job string) (known bool, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx,
		"SELECT EXISTS (SELECT 1 FROM events WHERE job = $1) OR EXISTS (SELECT 1 FROM tracked_jobs WHERE job = $1)", job).Scan(&known)
	return known, database.Wrap("retention: knows", err)
}

// beginErasure skips the open steps of a job, so that none begins any more, and records that the job is erased, in one transaction. It
// returns ErrRunning and changes nothing while a step is running.
func (s *Store) beginErasure(ctx context.Context, job string, images bool) error {
	return s.writer.Write(ctx, "retention: erase", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockJob(ctx, tx, job); err != nil {
			return err
		}
		now := s.now().UnixMicro()
		for _, statement := range []struct {
			text      string
			arguments []any
		}{
			{`UPDATE steps SET state = 'skipped', reason = '', detail = $1, changed_at = $2, next_at = NULL, deferred_at = NULL,
					outage_at = NULL, host = ''
				WHERE event_id IN (SELECT id FROM events WHERE job = $3) AND state NOT IN ('done', 'skipped')`, []any{erasedDetail, now, job}},
			{"UPDATE events SET state = 'done' WHERE job = $1", []any{job}},
			{`UPDATE tracked_jobs SET state = CASE WHEN state IN ('submitting', 'waiting') THEN 'lost' ELSE state END,
					resolved_at = coalesce(resolved_at, $1), next_at = NULL, lease_until = NULL, detail = $2, event_id = NULL,
					input = '', reference = ''
				WHERE job = $3`, []any{now, erasedDetail, job}},
			{`INSERT INTO erasures (job, images, requested_at) VALUES ($1, $2, $3)
				ON CONFLICT (job) DO UPDATE SET requested_at = excluded.requested_at, removed_at = NULL,
					images = CASE WHEN excluded.images > erasures.images THEN excluded.images ELSE erasures.images END`, []any{job, flag(images), now}},
		} {
			if _, err := tx.ExecContext(ctx, statement.text, statement.arguments...); err != nil {
				return err
			}
		}
		return nil
	})
}

func flag(set bool) int {
	if set {
		return 1
	}
	return 0
}

// lockJob locks the events of a job, and returns ErrRunning if a step of theirs is running.
func (s *Store) lockJob(ctx context.Context, tx *sql.Tx, job string) error {
	if s.writer.DB.Kind == database.Postgres {
		if _, err := tx.ExecContext(ctx, "SELECT id FROM events WHERE job = $1 ORDER BY id FOR UPDATE", job); err != nil {
			return err
		}
	}
	var running bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM events JOIN steps ON event_id = id
		WHERE job = $1 AND steps.state = 'running')`, job).Scan(&running)
	if err == nil && running {
		return ErrRunning
	}
	return err
}

// eraseEvents removes the events of a job but those that stay, and returns their number. With images their files are deleted later.
func (s *Store) eraseEvents(ctx context.Context, e erasure, staying []event.ID) (n int, err error) {
	ids, err := database.SelectColumn[string](ctx, s.writer.DB.Reader, "SELECT id FROM events WHERE job = $1 ORDER BY id", e.job)
	if err != nil {
		return 0, database.Wrap("retention: erase", err)
	}
	stays := map[string]bool{}
	for _, id := range staying {
		stays[string(id)] = true
	}
	var batch []any
	flush := func() error {
		err := s.writer.Write(ctx, "retention: erase", func(ctx context.Context, tx *sql.Tx) error {
			if err := s.lockJob(ctx, tx, e.job); err != nil {
				return err
			}
			return s.deleteEvents(ctx, tx, batch, e.images)
		})
		n += len(batch)
		batch = nil
		return err
	}
	for _, id := range ids {
		if stays[id] {
			continue
		}
		if batch = append(batch, id); len(batch) == maxEvents {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	if len(batch) > 0 {
		err = flush()
	}
	return n, err
}

// deleteEvents deletes events. With images their files are deleted later.
func (s *Store) deleteEvents(ctx context.Context, tx *sql.Tx, ids []any, images bool) error {
	if images {
		if err := s.releaseFiles(ctx, tx, ids); err != nil {
			return err
		}
	}
	return exec(ctx, tx, "DELETE FROM events WHERE id IN "+database.Values(1, len(ids)), ids)
}

// releaseFiles removes the artifacts of events and records that their files are deleted next.
func (s *Store) releaseFiles(ctx context.Context, tx *sql.Tx, ids []any) error {
	n := len(ids)
	err := exec(ctx, tx, `INSERT INTO removed_files (handler, key, job, sha256, removed_at)
		SELECT DISTINCT a.handler, a.key, e.job, a.sha256, CAST(`+parameter(n+1)+` AS BIGINT) FROM artifacts a JOIN events e ON e.id = a.event_id
		WHERE a.event_id IN `+database.Values(1, n)+" ON CONFLICT (handler, key) DO NOTHING", slices.Concat(ids, []any{s.now().UnixMicro()}))
	if err != nil {
		return err
	}
	return exec(ctx, tx, "DELETE FROM artifacts WHERE event_id IN "+database.Values(1, n), ids)
}

// endErasure records that nothing is left, or forgets an erasure that was looked at once more.
func (s *Store) endErasure(ctx context.Context, e erasure) error {
	return s.writer.Write(ctx, "retention: end erasure", func(ctx context.Context, tx *sql.Tx) (err error) {
		if e.removed {
			_, err = tx.ExecContext(ctx, "DELETE FROM erasures WHERE job = $1 AND removed_at IS NOT NULL", e.job)
		} else {
			_, err = tx.ExecContext(ctx, "UPDATE erasures SET removed_at = $1 WHERE job = $2", s.now().UnixMicro(), e.job)
		}
		return err
	})
}

// erasures returns some of the erasures that were requested before a time and are not finished, or ended before it.
func (s *Store) erasures(ctx context.Context, before time.Time) ([]erasure, error) {
	type row struct {
		job       string
		images    int
		requested int64
		removed   sql.NullInt64
	}
	list, err := database.Select(ctx, s.writer.DB.Reader, func(r *row) []any { return []any{&r.job, &r.images, &r.requested, &r.removed} },
		"SELECT job, images, requested_at, removed_at FROM erasures WHERE coalesce(removed_at, requested_at) < $1 ORDER BY job LIMIT $2",
		before.UnixMicro(), maxFiles)
	if err != nil {
		return nil, database.Wrap("retention: erasures", err)
	}
	var found []erasure
	for _, r := range list {
		found = append(found, erasure{job: r.job, images: r.images != 0, requested: database.FromMicros(r.requested), removed: r.removed.Valid})
	}
	return found, nil
}

// maxFiles bounds the files of one handler that one pass deletes.
const maxFiles = 50

// removedFile is a stored file that is deleted next.
type removedFile struct{ handler, key, job, sha256 string }

// handlersOfRemovedFiles returns the handlers with files that are deleted next, of a job or of all.
func (s *Store) handlersOfRemovedFiles(ctx context.Context, job string) ([]string, error) {
	list, err := database.SelectColumn[string](ctx, s.writer.DB.Reader,
		"SELECT DISTINCT handler FROM removed_files WHERE $1 = '' OR job = $1 ORDER BY handler", job)
	return list, database.Wrap("retention: removed files", err)
}

// removedFiles returns the oldest files of a handler that are deleted next, of a job or of all.
func (s *Store) removedFiles(ctx context.Context, handler, job string) ([]removedFile, error) {
	list, err := database.Select(ctx, s.writer.DB.Reader, func(f *removedFile) []any { return []any{&f.handler, &f.key, &f.job, &f.sha256} },
		`SELECT handler, key, job, sha256 FROM removed_files WHERE handler = $1 AND ($2 = '' OR job = $2)
		ORDER BY removed_at, key LIMIT $3`, handler, job, maxFiles)
	return list, database.Wrap("retention: removed files", err)
}

// countRemovedFiles returns the number of files of a job that are deleted next.
func (s *Store) countRemovedFiles(ctx context.Context, job string) (n int, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) FROM removed_files WHERE job = $1", job).Scan(&n)
	return n, database.Wrap("retention: removed files", err)
}

// postponeFiles puts files of a handler behind all others.
func (s *Store) postponeFiles(ctx context.Context, handler string, keys []any) error {
	if len(keys) == 0 {
		return nil
	}
	return s.writer.Write(ctx, "retention: postpone files", func(ctx context.Context, tx *sql.Tx) error {
		n := len(keys)
		return exec(ctx, tx, "UPDATE removed_files SET removed_at = "+parameter(n+1)+" WHERE key IN "+database.Values(1, n)+" AND handler = "+parameter(n+2),
			slices.Concat(keys, []any{s.now().UnixMicro(), handler}))
	})
}

// use is whether events still have a file.
type use int

const (
	useNone    use = iota
	useShared      // another event has it
	useUnknown     // an event of the job is open, and may have stored the same file again
)

// useOf returns whether events still have a file. Only events of the same job have the same keys, unless the job is not a folder of the
// key: then all artifacts are read.
func (s *Store) useOf(ctx context.Context, f removedFile) (use, error) {
	query := `SELECT EXISTS (SELECT 1 FROM events JOIN artifacts ON event_id = id WHERE job = $1 AND key = $2),
		EXISTS (SELECT 1 FROM events WHERE job = $1 AND state IN ('pending', 'running', 'retrying'))`
	if !strings.Contains("/"+f.key, "/"+f.job+"/") {
		query = `SELECT EXISTS (SELECT 1 FROM artifacts WHERE key = $2),
			EXISTS (SELECT 1 FROM events WHERE job = $1 AND state IN ('pending', 'running', 'retrying'))`
	}
	var shared, open bool
	if err := s.writer.DB.Reader.QueryRowContext(ctx, query, f.job, f.key).Scan(&shared, &open); err != nil {
		return useUnknown, database.Wrap("retention: use of a file", err)
	}
	switch {
	case shared:
		return useShared, nil
	case open:
		return useUnknown, nil
	default:
		return useNone, nil
	}
}

// forgetFile records that a file is deleted.
func (s *Store) forgetFile(ctx context.Context, f removedFile) error {
	return s.writer.Write(ctx, "retention: forget file", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM removed_files WHERE handler = $1 AND key = $2", f.handler, f.key)
		return err
	})
}
