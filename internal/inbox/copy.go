package inbox

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Copied is the result of a copy.
type Copied struct {
	Found   int64 `json:"found"`    // in the source
	Fresh   int64 `json:"fresh"`    // copied now
	Known   int64 `json:"known"`    // in the target already, as after an earlier copy
	OtherID int64 `json:"other_id"` // in the target under another id, which counts: the target had accepted the event itself
}

const (
	// copyRows and copyBytes bound a transaction.
	copyRows  = 500
	copyBytes = 8 << 20
	// verifyRows is the number of events in one query of Verify.
	verifyRows = 5000
)

// Count returns the number of events in an inbox.
func Count(ctx context.Context, db *database.DB) (n int64, err error) {
	err = db.Reader.QueryRowContext(ctx, "SELECT count(*) FROM callbacks").Scan(&n)
	return n, wrapCopy(err)
}

// Copy adds the events of an inbox in SQLite to one in Postgres; those in the outbox of the first enter the outbox of the second.
// Both are migrated, and no receiver has the source open. A copy can be repeated, also after it was interrupted. It calls progress
// with the number of rows of each transaction.
func Copy(ctx context.Context, from, to *database.DB, progress func(rows int)) (c Copied, err error) {
	rows, err := from.Reader.QueryContext(ctx, `
		SELECT id, job, digest, received_at, body, source, origin, token_hash, removed_at, input, reference, outbox.seq IS NOT NULL
		FROM callbacks LEFT JOIN outbox USING (seq) ORDER BY seq`)
	if err != nil {
		return c, wrapCopy(err)
	}
	defer func() { _ = rows.Close() }()
	b := &copyBatch{}
	for more := true; more; {
		if more, err = b.fill(rows); err != nil {
			return c, wrapCopy(err)
		}
		if len(b.ids) == 0 {
			break
		}
		if err := b.write(ctx, to.Pool, &c); err != nil {
			return c, wrapCopy(err)
		}
		progress(len(b.ids))
	}
	if err := copyOriginals(ctx, from, to); err != nil {
		return c, err
	}
	return c, copyRenewals(ctx, from, to)
}

// copyRenewals adds the renewals that wait.
func copyRenewals(ctx context.Context, from, to *database.DB) error {
	list, err := database.Select(ctx, from.Reader, func(r *renewal) []any { return []any{&r.id, &r.job, &r.urls, &r.received} },
		"SELECT id, job, urls, received_at FROM renewals")
	if err != nil {
		return wrapCopy(err)
	}
	for _, r := range list {
		if _, err := to.Pool.Exec(ctx, sqlRenew, r.id, r.job, r.urls, r.received); err != nil {
			return wrapCopy(err)
		}
	}
	return nil
}

// copyOriginals adds the original bodies of events that were copied under their own id.
func copyOriginals(ctx context.Context, from, to *database.DB) error {
	rows, err := from.Reader.QueryContext(ctx, `
		SELECT o.id, o.content_encoding, o.content_type, o.body, c.job FROM originals o JOIN callbacks c ON c.id = o.id ORDER BY c.seq`)
	if err != nil {
		return wrapCopy(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, contentEncoding, contentType, job string
		var body []byte
		if err := rows.Scan(&id, &contentEncoding, &contentType, &body, &job); err != nil {
			return wrapCopy(err)
		}
		_, err := to.Pool.Exec(ctx, sqlOriginalOfNew+" ON CONFLICT DO NOTHING", id, withoutZero(contentEncoding), withoutZero(contentType), notNull(body), job)
		if err != nil {
			return wrapCopy(err)
		}
	}
	return wrapCopy(rows.Err())
}

func wrapCopy(err error) error {
	if err != nil {
		return fmt.Errorf("inbox: copy: %w", err)
	}
	return nil
}

// copyBatch is the rows of one transaction, by column.
type copyBatch struct {
	ids, jobs, sources, origins []string
	inputs, references          []string
	digests, bodies, tokens     [][]byte
	received                    []int64
	removed                     []*int64
	waiting                     []bool
	bytes                       int
}

// fill reads the next rows. It returns false after the last one.
func (b *copyBatch) fill(rows *sql.Rows) (more bool, err error) {
	*b = copyBatch{
		ids: b.ids[:0], jobs: b.jobs[:0], sources: b.sources[:0], origins: b.origins[:0], received: b.received[:0], removed: b.removed[:0],
		waiting: b.waiting[:0], inputs: b.inputs[:0], references: b.references[:0],
	}
	for len(b.ids) < copyRows && b.bytes < copyBytes {
		if !rows.Next() {
			return false, rows.Err()
		}
		var id, job, source, origin, input, reference string
		var digest, body, token []byte
		var received int64
		var removed *int64
		var waits bool
		if err := rows.Scan(&id, &job, &digest, &received, &body, &source, &origin, &token, &removed, &input, &reference, &waits); err != nil {
			return false, err
		}
		b.ids, b.jobs, b.received, b.waiting = append(b.ids, id), append(b.jobs, job), append(b.received, received), append(b.waiting, waits)
		b.sources, b.origins = append(b.sources, source), append(b.origins, origin)
		b.inputs, b.references = append(b.inputs, input), append(b.references, reference)
		b.digests, b.bodies, b.tokens = append(b.digests, digest), append(b.bodies, notNull(body)), append(b.tokens, token)
		b.removed = append(b.removed, removed)
		b.bytes += len(body)
	}
	return true, nil
}

// write adds the batch and counts its events.
func (b *copyBatch) write(ctx context.Context, pool *pgxpool.Pool, c *Copied) error {
	var fresh, known int64
	err := pool.QueryRow(ctx, `
		WITH given AS (
			SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bytea[], $6::boolean[], $7::text[], $8::text[],
					$9::bytea[], $10::bigint[], $11::text[], $12::text[])
				AS g (id, job, digest, received_at, body, waiting, source, origin, token_hash, removed_at, input, reference)
		), known AS (
			SELECT k.id FROM given JOIN callbacks k ON k.job = given.job AND k.digest = given.digest WHERE k.id = given.id
		), fresh AS (
			INSERT INTO callbacks (id, job, digest, received_at, body, source, origin, token_hash, removed_at, input, reference)
			SELECT id, job, digest, received_at, body, source, origin, token_hash, removed_at, input, reference FROM given
			ON CONFLICT (job, digest) DO NOTHING RETURNING seq, id
		), queued AS (
			INSERT INTO outbox (seq) SELECT seq FROM fresh JOIN given ON given.id = fresh.id WHERE given.waiting
		)
		SELECT (SELECT count(*) FROM fresh), (SELECT count(*) FROM known)`,
		b.ids, b.jobs, b.digests, b.received, b.bodies, b.waiting, b.sources, b.origins, b.tokens, b.removed,
		b.inputs, b.references).Scan(&fresh, &known)
	if err != nil {
		return err
	}
	found := int64(len(b.ids))
	c.Found, c.Fresh, c.Known, c.OtherID = c.Found+found, c.Fresh+fresh, c.Known+known, c.OtherID+found-fresh-known
	return nil
}

// Verify returns how many events of the source are in the target, by job and digest.
func Verify(ctx context.Context, from, to *database.DB) (found int64, err error) {
	rows, err := from.Reader.QueryContext(ctx, "SELECT job, digest FROM callbacks ORDER BY seq")
	if err != nil {
		return 0, wrapCopy(err)
	}
	defer func() { _ = rows.Close() }()
	for more := true; more; {
		var jobs []string
		var digests [][]byte
		for more = rows.Next(); more; more = len(jobs) < verifyRows && rows.Next() {
			var job string
			var digest []byte
			if err := rows.Scan(&job, &digest); err != nil {
				return found, wrapCopy(err)
			}
			jobs, digests = append(jobs, job), append(digests, digest)
		}
		more = len(jobs) == verifyRows
		var n int64
		err := to.Pool.QueryRow(ctx, `SELECT count(*) FROM unnest($1::text[], $2::bytea[]) AS g (job, digest)
			JOIN callbacks USING (job, digest)`, jobs, digests).Scan(&n)
		if err != nil {
			return found, wrapCopy(err)
		}
		found += n
	}
	return found, wrapCopy(rows.Err())
}
