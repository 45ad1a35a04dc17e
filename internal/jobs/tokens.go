package jobs

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/uuid"
)

// TokenHash is the SHA-256 of a token that only the callback of one job may carry. The token itself is not stored.
type TokenHash = [sha256.Size]byte

// Prepare tracks a job that is about to be submitted, whose callback will carry the token and the names. The job is lost at the horizon if neither the
// API's answer nor the callback has named it by then.
func (s *Store) Prepare(ctx context.Context, token TokenHash, names event.Names, horizon time.Time) (Job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Job{}, database.Wrap("jobs: prepare", err)
	}
	var prepared Job // read only after a commit: after a timeout the transaction may still run
	err = s.writer.Write(ctx, "jobs: prepare", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tracked_jobs (id, token_hash, origin, state, created_at, next_at, horizon_at, input, reference)
			VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8)`,
			id.String(), token[:], submitted, string(Submitting), time.Now().UnixMicro(), horizon.UnixMicro(), names.Input, names.Reference)
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

// Forget removes a job that was prepared and not submitted.
func (s *Store) Forget(ctx context.Context, id string) error {
	return s.change(ctx, "forget", "DELETE FROM tracked_jobs WHERE id = $1 AND job IS NULL", id)
}

// SetDetail sets the sentence for a person of a job whose id at Deep Image is unknown.
func (s *Store) SetDetail(ctx context.Context, id, detail string) error {
	return s.change(ctx, "set detail", "UPDATE tracked_jobs SET detail = $2 WHERE id = $1 AND job IS NULL", id, database.SanitizeText(detail))
}

// SetJob sets the id at Deep Image of a submitted job. The API is asked about it from first until horizon. If the event of the job
// exists already, because its callback came before the API's answer, the job is Arrived.
func (s *Store) SetJob(ctx context.Context, id, job string, first, horizon time.Time) (Job, error) {
	var named Job
	err := s.writer.Write(ctx, "jobs: set job", func(ctx context.Context, tx *sql.Tx) error {
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

// FindToken reports whether there is a job with this token, and whether an event has used the token.
func (s *Store) FindToken(ctx context.Context, token TokenHash) (found, used bool, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT token_digest IS NOT NULL FROM tracked_jobs WHERE token_hash = $1", token[:]).Scan(&used)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	return err == nil, used, database.Wrap("jobs: find token", err)
}

// AcceptsToken reports whether UseToken would accept the token now. It only reads, so it does not wait for a writer.
func (s *Store) AcceptsToken(ctx context.Context, token TokenHash, job string, digest event.Digest) (accepts bool, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM tracked_jobs "+tokenFits+")", token[:], job, digest[:]).Scan(&accepts)
	return accepts, database.Wrap("jobs: accepts token", err)
}

// tokenFits selects the job whose token $1 the event with digest $3 of the job $2 may use.
const tokenFits = "WHERE token_hash = $1 AND (job IS NULL OR job = $2) AND (token_digest IS NULL OR token_digest = $3)"

// UseToken binds a token to one event of its job and reports whether the token is valid for it: not for another event or another job.
// The same event may use it again. A job whose id was unknown gets it by this, and the API is asked about it from first on.
func (s *Store) UseToken(ctx context.Context, token TokenHash, job string, digest event.Digest, first time.Time) (bool, error) {
	var valid bool
	err := s.writer.Write(ctx, "jobs: use token", func(ctx context.Context, tx *sql.Tx) (err error) {
		valid, err = useToken(ctx, tx, token[:], job, digest, first)
		return err
	})
	if err != nil {
		return false, err
	}
	return valid, nil
}

func useToken(ctx context.Context, tx *sql.Tx, token []byte, job string, digest event.Digest, first time.Time) (valid bool, err error) {
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

// useTokens uses the tokens of callbacks that were accepted while the work store did not answer. A token that is not valid for its event
// is ignored: the callback was acknowledged, and verification decides.
func useTokens(ctx context.Context, tx *sql.Tx, entries []event.Entry, first time.Time) error {
	for _, entry := range entries {
		if len(entry.Token) == 0 {
			continue
		}
		if _, err := useToken(ctx, tx, entry.Token, entry.Job, entry.Digest, first); err != nil {
			return err
		}
	}
	return nil
}

// IsTracked reports whether a job is tracked by its id at Deep Image, whatever its state.
func (s *Store) IsTracked(ctx context.Context, job string) (tracked bool, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM tracked_jobs WHERE job = $1)", job).Scan(&tracked)
	return tracked, database.Wrap("jobs: is tracked", err)
}

// Find returns a tracked job by its id at Deep Image or by its ID, or database.ErrNotFound.
func (s *Store) Find(ctx context.Context, id string) (Job, error) {
	list, err := queryJobs(ctx, s.writer.DB.Reader, "WHERE job = $1 OR id = $1 ORDER BY id LIMIT 1", id)
	if err == nil && len(list) == 0 {
		err = database.ErrNotFound
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
		return Job{}, database.ErrNotFound
	}
	return list[0], nil
}
