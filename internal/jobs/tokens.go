package jobs

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/google/uuid"
)

// TokenHash is the SHA-256 of a token that is good for the callback of one job. The token itself is not kept.
type TokenHash = [sha256.Size]byte

// Prepare makes an expectation of a job that is about to be submitted, whose callback will carry the token. If the vendor
// never names the job and its callback does not come, the job is lost at the horizon.
func (s *Store) Prepare(ctx context.Context, token TokenHash, horizon time.Time) (Job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Job{}, database.Wrap("jobs: prepare", err)
	}
	var prepared Job // read only when the transaction is settled: one that is given up may still come to its end
	err = s.writer.Write(ctx, "jobs: prepare", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tracked_jobs (id, token_hash, origin, state, created_at, next_at, horizon_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)`,
			id.String(), token[:], string(Submitted), string(Submitting), time.Now().UnixMicro(), horizon.UnixMicro())
		if err != nil {
			return err
		}
		prepared, err = findJob(ctx, tx, id.String())
		return err
	})
	if err != nil {
		return Job{}, err
	}
	return prepared, nil
}

// Forget removes the expectation of a job that was not submitted after all.
func (s *Store) Forget(ctx context.Context, id string) error {
	return s.change(ctx, "forget", "DELETE FROM tracked_jobs WHERE id = $1 AND job IS NULL", id)
}

// SetDetail says something to a person about the expectation of a job that has no name.
func (s *Store) SetDetail(ctx context.Context, id, detail string) error {
	return s.change(ctx, "remark", "UPDATE tracked_jobs SET detail = $2 WHERE id = $1 AND job IS NULL", id, database.SanitizeText(detail))
}

// Name says which job an expectation is of, about which the vendor is asked from first until horizon. What is known of the job
// already counts: its callback may have come before its name.
func (s *Store) SetJob(ctx context.Context, id, job string, first, horizon time.Time) (Job, error) {
	var named Job
	err := s.writer.Write(ctx, "jobs: name", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tracked_jobs
			SET job = $2, state = 'waiting', next_at = $3, horizon_at = $4, detail = '', resolved_at = NULL
			WHERE id = $1 AND (job IS NULL OR job <> $2)`, id, job, first.UnixMicro(), horizon.UnixMicro())
		if err != nil {
			return err
		}
		if err := resolveArrived(ctx, tx, []string{job}, Arrived); err != nil {
			return err
		}
		named, err = findJob(ctx, tx, id)
		return err
	})
	if err != nil {
		return Job{}, err
	}
	return named, nil
}

// HasToken says whether there is an expectation with a token.
func (s *Store) HasToken(ctx context.Context, token TokenHash) (found bool, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM tracked_jobs WHERE token_hash = $1)", token[:]).Scan(&found)
	return found, database.Wrap("jobs: token", err)
}

// AcceptsToken says whether UseToken would be true, as far as is written down now. It waits for no writer.
func (s *Store) AcceptsToken(ctx context.Context, token TokenHash, job string, digest event.Digest) (fits bool, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM tracked_jobs "+tokenFits+")", token[:], job, digest[:]).Scan(&fits)
	return fits, database.Wrap("jobs: token", err)
}

// tokenFits are the rows for which the token $1 is good, for the event $3 of the job $2.
const tokenFits = "WHERE token_hash = $1 AND (job IS NULL OR job = $2) AND (token_digest IS NULL OR token_digest = $3)"

// UseToken uses a token up for one event of its job. The same event may come again; for another one, or another job, it is
// false. A job that has no name yet is named by it, and the vendor is asked about it from first on.
func (s *Store) UseToken(ctx context.Context, token TokenHash, job string, digest event.Digest, first time.Time) (bool, error) {
	var isGood bool
	err := s.writer.Write(ctx, "jobs: token", func(ctx context.Context, tx *sql.Tx) (err error) {
		isGood, err = useToken(ctx, tx, token[:], job, digest, first)
		return err
	})
	if err != nil {
		return false, err
	}
	return isGood, nil
}

func useToken(ctx context.Context, tx *sql.Tx, token []byte, job string, digest event.Digest, first time.Time) (isGood bool, err error) {
	used, err := tx.ExecContext(ctx, `UPDATE tracked_jobs SET job = $2, token_digest = $3,
			state = CASE state WHEN 'submitting' THEN 'waiting' ELSE state END,
			next_at = CASE state WHEN 'submitting' THEN $4 ELSE next_at END `+tokenFits,
		token, job, digest[:], first.UnixMicro())
	if err != nil {
		return false, err
	}
	n, err := used.RowsAffected()
	return n == 1, err
}

// useTokens does it for callbacks that were accepted while the store was away. One whose token is good for something else
// changes nothing here: it is accepted, and what is verified of it counts.
func useTokens(ctx context.Context, tx *sql.Tx, entries []workflow.InboxEntry) error {
	for _, a := range entries {
		if len(a.Token) == 0 {
			continue
		}
		if _, err := useToken(ctx, tx, a.Token, a.Job, a.Digest, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// Find returns a tracked job by the vendor's id of the job or by its own id, or ErrNotFound.
func (s *Store) Find(ctx context.Context, id string) (Job, error) {
	list, err := queryJobs(ctx, s.writer.DB.Reader, "WHERE job = $1 OR id = $1 ORDER BY id LIMIT 1", id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Job{}, database.Wrap("jobs: find", err)
	}
	return list[0], nil
}

func findJob(ctx context.Context, from database.Querier, id string) (Job, error) {
	list, err := queryJobs(ctx, from, "WHERE id = $1", id)
	if err != nil {
		return Job{}, err
	}
	if len(list) == 0 {
		return Job{}, ErrNotFound
	}
	return list[0], nil
}
