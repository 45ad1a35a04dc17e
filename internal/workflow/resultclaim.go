package workflow

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// A real job with a false address passes for real when the vendor is asked about the job. What is
// worked on is the vendor's own address then, and only once: the first event of a job that is
// verified claims the address, and every other that comes to the same one is skipped.

// resultKey is the same for all addresses of one result: signatures and leases are in the query.
func resultKey(address string) string {
	if parsed, err := url.Parse(address); err == nil {
		parsed.RawQuery, parsed.ForceQuery, parsed.Fragment, parsed.RawFragment = "", false, "", ""
		address = parsed.String()
	}
	sum := sha256.Sum256([]byte(address))
	return hex.EncodeToString(sum[:])
}

// holder is another event of the job.
type holder struct {
	id    event.ID
	state event.Status
}

// isAlive says that the event is done, or may be by itself.
func (h holder) isAlive() bool {
	return h.id != "" && h.state != event.Dead && h.state != event.Quarantined
}

// other finds the event that makes this one superfluous, if there is one: for a verified result the one that has
// claimed it, for a job whose images are gone any that was verified before.
func other(ctx context.Context, tx *sql.Tx, a Attempt, r Result) (h holder, err error) {
	var row *sql.Row
	switch {
	case r.VerifiedURL != "":
		row = tx.QueryRowContext(ctx, "SELECT id, state FROM events WHERE job = $1 AND result_key = $2 AND id <> $3",
			a.Job, resultKey(r.VerifiedURL), string(a.Event))
	case r.Cause == event.CauseDeleted:
		row = tx.QueryRowContext(ctx, `SELECT id, state FROM events WHERE job = $1 AND verified_at IS NOT NULL
			AND state NOT IN ('dead', 'quarantined') AND id <> $2 ORDER BY id LIMIT 1`, a.Job, string(a.Event))
	default:
		return h, nil
	}
	if err = row.Scan(&h.id, &h.state); errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return h, err
}

// superseded is the result of an attempt whose event another one makes superfluous.
func superseded(r Result, by holder) Result {
	return Result{
		State: event.Skipped, SupersededBy: by.id, Artifacts: r.Artifacts,
		Detail: fmt.Sprintf("Deep Image has one result for this job, and the event %s is the one that is worked on for it.", by.id),
	}
}

// claim writes down what the vendor said, for which the event is the one that is worked on from now on. One that came to
// a dead end before gives it up.
func claim(ctx context.Context, tx *sql.Tx, a Attempt, r Result, before holder) error {
	if before.id != "" {
		if _, err := tx.ExecContext(ctx, "UPDATE events SET result_key = NULL WHERE id = $1", string(before.id)); err != nil {
			return err
		}
	}
	// If another event claims it at this moment, the unique index lets one of the two transactions fail and see it when it runs again.
	_, err := tx.ExecContext(ctx, "UPDATE events SET result_url = $1, result_key = $2, verified_at = $3 WHERE id = $4",
		database.SanitizeText(r.VerifiedURL), resultKey(r.VerifiedURL), time.Now().UnixMicro(), string(a.Event))
	return err
}

// skipRest ends the steps that have not begun.
func skipRest(ctx context.Context, tx *sql.Tx, id event.ID, detail string) error {
	_, err := tx.ExecContext(ctx, "UPDATE steps SET state = 'skipped', detail = $1, changed_at = $2 WHERE event_id = $3 AND state = 'waiting'",
		detail, time.Now().UnixMicro(), string(id))
	return err
}

// keepResult writes down an address that was found out without a verification.
func keepResult(ctx context.Context, tx *sql.Tx, id event.ID, address string) error {
	_, err := tx.ExecContext(ctx, "UPDATE events SET result_url = $1 WHERE id = $2", database.SanitizeText(address), string(id))
	return err
}
