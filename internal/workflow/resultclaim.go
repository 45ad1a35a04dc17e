package workflow

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// A forged callback can name a real job with a false result URL, and the API will confirm the job. So the result URL of the API
// is processed, and only once: the first verified event of a job claims it, and other events with the same result are skipped.

// resultKey returns the same key for all URLs of one result. They differ in their query, which holds the signature.
func resultKey(r Result) string {
	addresses := []string{withoutQuery(r.VerifiedURL)}
	for _, address := range r.VerifiedResults {
		addresses = append(addresses, withoutQuery(address))
	}
	sum := sha256.Sum256([]byte(strings.Join(addresses, "\n")))
	return hex.EncodeToString(sum[:])
}

func withoutQuery(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return address
	}
	parsed.RawQuery, parsed.ForceQuery, parsed.Fragment, parsed.RawFragment = "", false, "", ""
	return parsed.String()
}

// claimant is another event of the job that has claimed the result.
type claimant struct {
	id    event.ID
	state event.Status
}

// isAlive reports whether the event is done or can still be done.
func (c claimant) isAlive() bool {
	return c.id != "" && c.state != event.Dead && c.state != event.Quarantined
}

// findClaimant returns the event that has claimed the verified result, or, if the images of the job were deleted, any other verified
// event of the job. It returns the zero claimant if there is none.
func findClaimant(ctx context.Context, tx *sql.Tx, a Attempt, r Result) (c claimant, err error) {
	var row *sql.Row
	switch {
	case r.VerifiedURL != "":
		row = tx.QueryRowContext(ctx, "SELECT id, state FROM events WHERE job = $1 AND result_key = $2 AND id <> $3",
			a.Job, resultKey(r), string(a.Event))
	case r.Cause == event.CauseDeleted:
		row = tx.QueryRowContext(ctx, `SELECT id, state FROM events WHERE job = $1 AND verified_at IS NOT NULL
			AND state NOT IN ('dead', 'quarantined') AND id <> $2 ORDER BY id LIMIT 1`, a.Job, string(a.Event))
	default:
		return c, nil
	}
	if err = row.Scan(&c.id, &c.state); errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return c, err
}

// superseded returns the result of an attempt whose event another one supersedes.
func superseded(r Result, by claimant) Result {
	return Result{
		State: event.Skipped, SupersededBy: by.id, Artifacts: r.Artifacts,
		Detail: fmt.Sprintf("Event %s has the same result of this job, so this event is skipped.", by.id),
	}
}

// claimResult records the verified result and claims it for the event. A claimant that is dead or quarantined loses the claim.
func claimResult(ctx context.Context, tx *sql.Tx, a Attempt, r Result, before claimant) error {
	if before.id != "" {
		if _, err := tx.ExecContext(ctx, "UPDATE events SET result_key = NULL WHERE id = $1", string(before.id)); err != nil {
			return err
		}
	}
	// If another event claims the result concurrently, the unique index fails one transaction, which finds the claimant when it is retried.
	_, err := tx.ExecContext(ctx, "UPDATE events SET result_url = $1, result_key = $2, verified_at = $3 WHERE id = $4",
		database.SanitizeText(r.VerifiedURL), resultKey(r), time.Now().UnixMicro(), string(a.Event))
	return err
}

// skipWaiting skips the steps of later stages.
func skipWaiting(ctx context.Context, tx *sql.Tx, id event.ID, detail string) error {
	_, err := tx.ExecContext(ctx, "UPDATE steps SET state = 'skipped', detail = $1, changed_at = $2 WHERE event_id = $3 AND state = 'waiting'",
		detail, time.Now().UnixMicro(), string(id))
	return err
}

// setResultURL records a result URL that was reported without a verification.
func setResultURL(ctx context.Context, tx *sql.Tx, id event.ID, address string) error {
	_, err := tx.ExecContext(ctx, "UPDATE events SET result_url = $1, renewed = '' WHERE id = $2", database.SanitizeText(address), string(id))
	return err
}
