package work

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/uuid"
)

// TokenHash is the SHA-256 of a token that is good for the callback of one job. The token itself is not kept.
type TokenHash = [sha256.Size]byte

// Prepare makes an expectation of a job that is about to be submitted, whose callback will carry the token. If the vendor
// never names the job and its callback does not come, the job is lost at the horizon.
func (s *Store) Prepare(ctx context.Context, token TokenHash, horizon time.Time) (Expectation, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Expectation{}, wrap("prepare", err)
	}
	var prepared Expectation // read only when the transaction is settled: one that is given up may still come to its end
	err = s.write(ctx, "prepare", "", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO expectations (id, token_hash, origin, state, created_at, next_at, horizon_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)`,
			id.String(), token[:], string(Submitted), string(Submitting), time.Now().UnixMicro(), horizon.UnixMicro())
		if err != nil {
			return err
		}
		prepared, err = expectation(ctx, tx, id.String())
		return err
	})
	if err != nil {
		return Expectation{}, err
	}
	return prepared, nil
}

// Forget removes the expectation of a job that was not submitted after all.
func (s *Store) Forget(ctx context.Context, id string) error {
	return s.changeExpectation(ctx, "forget", "DELETE FROM expectations WHERE id = $1 AND job IS NULL", id)
}

// Remark says something to a person about the expectation of a job that has no name.
func (s *Store) Remark(ctx context.Context, id, detail string) error {
	return s.changeExpectation(ctx, "remark", "UPDATE expectations SET detail = $2 WHERE id = $1 AND job IS NULL", id, text(detail))
}

// Name says which job an expectation is of, about which the vendor is asked from first until horizon. What is known of the job
// already counts: its callback may have come before its name.
func (s *Store) Name(ctx context.Context, id, job string, first, horizon time.Time) (Expectation, error) {
	var named Expectation
	err := s.write(ctx, "name", "", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE expectations
			SET job = $2, state = 'waiting', next_at = $3, horizon_at = $4, detail = '', settled_at = NULL
			WHERE id = $1 AND (job IS NULL OR job <> $2)`, id, job, first.UnixMicro(), horizon.UnixMicro())
		if err != nil {
			return err
		}
		if err := settleArrived(ctx, tx, []string{job}, Arrived); err != nil {
			return err
		}
		named, err = expectation(ctx, tx, id)
		return err
	})
	if err != nil {
		return Expectation{}, err
	}
	return named, nil
}

// HasToken says whether there is an expectation with a token.
func (s *Store) HasToken(ctx context.Context, token TokenHash) (found bool, err error) {
	err = s.database.Reader.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM expectations WHERE token_hash = $1)", token[:]).Scan(&found)
	return found, wrap("token", err)
}

// TokenFits says whether UseToken would be true, as far as is written down now. It waits for no writer.
func (s *Store) TokenFits(ctx context.Context, token TokenHash, job string, digest event.Digest) (fits bool, err error) {
	err = s.database.Reader.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM expectations "+tokenFits+")", token[:], job, digest[:]).Scan(&fits)
	return fits, wrap("token", err)
}

// tokenFits are the rows for which the token $1 is good, for the event $3 of the job $2.
const tokenFits = "WHERE token_hash = $1 AND (job IS NULL OR job = $2) AND (token_digest IS NULL OR token_digest = $3)"

// UseToken uses a token up for one event of its job. The same event may come again; for another one, or another job, it is
// false. A job that has no name yet is named by it, and the vendor is asked about it from first on.
func (s *Store) UseToken(ctx context.Context, token TokenHash, job string, digest event.Digest, first time.Time) (bool, error) {
	var isGood bool
	err := s.write(ctx, "token", "", func(ctx context.Context, tx *sql.Tx) (err error) {
		isGood, err = useToken(ctx, tx, token[:], job, digest, first)
		return err
	})
	if err != nil {
		return false, err
	}
	return isGood, nil
}

func useToken(ctx context.Context, tx *sql.Tx, token []byte, job string, digest event.Digest, first time.Time) (isGood bool, err error) {
	used, err := tx.ExecContext(ctx, `UPDATE expectations SET job = $2, token_digest = $3, token_used = coalesce(token_used, $4),
			state = CASE state WHEN 'submitting' THEN 'waiting' ELSE state END,
			next_at = CASE state WHEN 'submitting' THEN $5 ELSE next_at END `+tokenFits,
		token, job, digest[:], time.Now().UnixMicro(), first.UnixMicro())
	if err != nil {
		return false, err
	}
	n, err := used.RowsAffected()
	return n == 1, err
}

// useTokens does it for callbacks that were accepted while the store was away. One whose token is good for something else
// changes nothing here: it is accepted, and what is verified of it counts.
func useTokens(ctx context.Context, tx *sql.Tx, arrivals []Arrival) error {
	for _, a := range arrivals {
		if len(a.Token) == 0 {
			continue
		}
		if _, err := useToken(ctx, tx, a.Token, a.Job, a.Digest, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// Expectation gives one of them, or ErrNotFound.
func (s *Store) Expectation(ctx context.Context, id string) (Expectation, error) {
	found, err := expectation(ctx, s.database.Reader, id)
	return found, wrap("expectation", err)
}

func expectation(ctx context.Context, from querier, id string) (Expectation, error) {
	list, err := expectations(ctx, from, "WHERE id = $1", id)
	if err != nil {
		return Expectation{}, err
	}
	if len(list) == 0 {
		return Expectation{}, ErrNotFound
	}
	return list[0], nil
}
