package inbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/jackc/pgx/v5"
)

// postgresWriters is the number of batches that are committed at the same time: while one waits for its sync, the server works on
// the next.
const postgresWriters = 4

// postgresWriter commits a batch in one round trip: its statements are sent together and are one transaction.
type postgresWriter struct {
	database *database.DB
	config   Config
	backlog  *backlog
}

func (w *postgresWriter) close() error { return nil }

// The statements of a batch. An insert waits for a concurrent one of the same event, whose id counts then. That row is not visible
// to the statement: its id is read afterwards.
const (
	sqlAccept = `
		WITH given AS (
			SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bytea[], $9::bytea[],
					$10::text[], $11::text[])
				AS g (id, job, digest, received_at, body, source, origin, token_hash, signed_digest, input, reference)
		), signed AS (
			SELECT id, first FROM (
				SELECT given.id, (SELECT k.id FROM callbacks k WHERE k.job = given.job AND k.digest = given.signed_digest) AS first
				FROM given WHERE signed_digest IS NOT NULL
			) AS looked_up WHERE first IS NOT NULL
		), fresh AS (
			INSERT INTO callbacks (id, job, digest, received_at, body, source, origin, token_hash, input, reference)
			SELECT id, job, digest, received_at, body, source, origin, token_hash, input, reference FROM given
			WHERE id NOT IN (SELECT id FROM signed)
			ON CONFLICT (job, digest) DO NOTHING RETURNING seq, id, job, digest
		), queued AS (
			INSERT INTO outbox (seq) SELECT seq FROM fresh
		)
		SELECT given.id, coalesce(fresh.id, (SELECT first FROM signed WHERE signed.id = given.id),
			(SELECT k.id FROM callbacks k WHERE k.job = given.job AND k.digest = given.digest), '')
		FROM given LEFT JOIN fresh ON fresh.id = given.id`
	// sqlOriginalOfNew stores the original body of an event that sqlAccept has inserted.
	sqlOriginalOfNew = `
		INSERT INTO originals (id, content_encoding, content_type, body)
		SELECT $1::text, $2::text, $3::text, $4::bytea WHERE EXISTS (SELECT 1 FROM callbacks WHERE job = $5 AND id = $1)`
	sqlKnown = "SELECT id FROM callbacks WHERE job = $1 AND digest = $2"
	sqlKeep  = "INSERT INTO rejections (received_at, code, detail, body) VALUES ($1, $2, $3, $4)"
	// sqlPrune deletes the oldest rows, so that at most $1 rows and $2 bytes stay.
	sqlPrune = `
		DELETE FROM rejections WHERE seq <= (
			SELECT max(seq) FROM (
				SELECT seq, row_number() OVER newest AS n, sum(length(body)) OVER newest AS bytes
				FROM rejections WINDOW newest AS (ORDER BY seq DESC)
			) AS kept WHERE n > $1 OR bytes > $2)`
	sqlDelete = "DELETE FROM rejections WHERE seq = ANY ($1::bigint[])"
	sqlEmpty  = `UPDATE callbacks SET body = '', input = '', reference = '' FROM unnest($1::text[], $2::text[]) AS given (job, id)
			WHERE callbacks.job = given.job AND callbacks.id = given.id`
	sqlTombstone = `UPDATE callbacks SET body = '', input = '', reference = '', source = '', token_hash = NULL, removed_at = coalesce(removed_at, $3)
			FROM unnest($1::text[], $2::text[]) AS given (job, id)
			WHERE callbacks.job = given.job AND callbacks.id = given.id`
	sqlUnqueue = `DELETE FROM outbox USING callbacks, unnest($1::text[], $2::text[]) AS given (job, id)
			WHERE callbacks.job = given.job AND callbacks.id = given.id AND outbox.seq = callbacks.seq`
	sqlBury       = "DELETE FROM callbacks WHERE seq = ANY ($1::bigint[]) AND removed_at IS NOT NULL"
	sqlUnkept     = "DELETE FROM originals WHERE id = ANY ($1::text[])"
	sqlNotRenewed = "DELETE FROM renewals WHERE id = ANY ($1::text[])"
	sqlCarried    = "DELETE FROM outbox WHERE seq = ANY ($1::bigint[])"
	sqlWritten    = "INSERT INTO probe (id, written_at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET written_at = excluded.written_at"
)

// write commits entries. It has a deadline of its own: a caller that stops waiting must not break off the commit of others.
func (w *postgresWriter) write(entries []*entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	err := w.commit(ctx, entries)
	if err == nil || len(entries) == 1 || !database.IsOwnFault(err) {
		return err
	}
	return w.retryIndividually(ctx, entries)
}

// retryIndividually commits each entry in a transaction of its own, because one of them makes the common one fail.
func (w *postgresWriter) retryIndividually(ctx context.Context, entries []*entry) error {
	var failure error
	for n, e := range entries {
		if err := w.commit(ctx, entries[n:n+1]); err != nil {
			if e.kind == storeEvent {
				e.err = err
				continue
			}
			failure = err
		}
	}
	return failure
}

func (w *postgresWriter) commit(ctx context.Context, entries []*entry) error {
	b := newBatch(entries)
	statements := &pgx.Batch{}
	if w.database.Pooler {
		statements.Queue(database.SetSynchronous, true)
	}
	var added int64
	var withoutID []*entry
	if unique := firstOfEach(b.events); len(unique) > 0 {
		// All batches insert in the same order, so that two with the same events cannot wait for each other.
		unique = slices.SortedFunc(slices.Values(unique), compareIdentity)
		queueEvents(statements, unique).Query(func(rows pgx.Rows) (err error) {
			added, withoutID, err = readReceipts(rows, unique)
			return err
		})
		queueOriginals(statements, unique)
	}
	w.queueOthers(statements, b)
	w.backlog.begin()
	if err := w.database.Pool.SendBatch(ctx, statements).Close(); err != nil {
		w.backlog.end(0)
		return fmt.Errorf("inbox: commit: %w", err)
	}
	w.backlog.end(added - int64(len(b.relayed)))
	w.readIDs(ctx, withoutID)
	copyReceipts(b.events)
	return nil
}

// queueOthers adds the statements that follow the events. The row that all replicas write is the last.
func (w *postgresWriter) queueOthers(statements *pgx.Batch, b batch) {
	for _, r := range b.rejections {
		body := r.Body[:min(int64(len(r.Body)), int64(w.config.MaxRejectionsBytes))]
		statements.Queue(sqlKeep, r.Received.UnixMicro(), string(r.Code), withoutZero(r.Detail), notNull(body))
	}
	if len(b.rejections) > 0 {
		statements.Queue(sqlPrune, w.config.MaxRejections, int64(w.config.MaxRejectionsBytes))
	}
	if len(b.deleted) > 0 {
		statements.Queue(sqlDelete, b.deleted)
	}
	for _, r := range b.removals {
		queueRemoval(statements, r)
	}
	if len(b.tombstones) > 0 {
		statements.Queue(sqlBury, b.tombstones)
	}
	// All batches write renewals in the same order, so that two cannot wait for each other.
	byEvent := func(a, b *renewal) int { return strings.Compare(a.id, b.id) }
	for _, r := range slices.SortedStableFunc(slices.Values(b.renewals), byEvent) {
		statements.Queue(sqlRenew, r.id, r.job, r.urls, r.received)
	}
	for _, r := range slices.SortedStableFunc(slices.Values(b.renewed), byEvent) {
		statements.Queue(sqlRenewed, r.id, r.urls)
	}
	if len(b.relayed) > 0 {
		statements.Queue(sqlCarried, b.relayed)
	}
	if b.probe {
		statements.Queue(sqlWritten, time.Now().UnixMicro())
	}
}

func queueRemoval(statements *pgx.Batch, r removal) {
	jobs, ids := make([]string, len(r.events)), make([]string, len(r.events))
	for n, e := range r.events {
		jobs[n], ids[n] = e.Job, string(e.ID)
	}
	if r.at == 0 {
		statements.Queue(sqlEmpty, jobs, ids)
	} else {
		statements.Queue(sqlTombstone, jobs, ids, r.at)
		statements.Queue(sqlUnqueue, jobs, ids)
	}
	statements.Queue(sqlUnkept, ids)
	statements.Queue(sqlNotRenewed, ids)
}

// withoutZero replaces the zero byte, which Postgres refuses in a text.
func withoutZero(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

func queueEvents(statements *pgx.Batch, events []*entry) *pgx.QueuedQuery {
	n := len(events)
	ids, jobs, sources, origins := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	inputs, references := make([]string, n), make([]string, n)
	digests, bodies, tokens, signed := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	received := make([]int64, n)
	for i := range events {
		e := &events[i].event
		ids[i], jobs[i], sources[i], origins[i] = string(e.ID), e.Job, sourceText(e), originText(e)
		inputs[i], references[i] = e.Input, e.Reference
		digests[i], bodies[i], tokens[i], received[i] = e.Digest[:], notNull(e.Body), e.Token, e.Received.UnixMicro()
		if events[i].hasSignedDigest() {
			signed[i] = e.SignedDigest[:]
		}
	}
	return statements.Queue(sqlAccept, ids, jobs, digests, received, bodies, sources, origins, tokens, signed, inputs, references)
}

func queueOriginals(statements *pgx.Batch, events []*entry) {
	for _, e := range events {
		if original := e.event.Original; original != nil {
			statements.Queue(sqlOriginalOfNew, string(e.event.ID), withoutZero(original.ContentEncoding), withoutZero(original.ContentType),
				notNull(original.Body), e.event.Job)
		}
	}
}

// readReceipts sets the receipts of events and returns the number of new ones, and those that another transaction stored after
// the statement had begun.
func readReceipts(rows pgx.Rows, events []*entry) (added int64, withoutID []*entry, err error) {
	stored := make(map[event.ID]event.ID, len(events)) // the id that counts, by the new one
	var proposed, id event.ID
	_, err = pgx.ForEachRow(rows, []any{&proposed, &id}, func() error {
		stored[proposed] = id
		return nil
	})
	for _, e := range events {
		switch id := stored[e.event.ID]; id {
		case "":
			withoutID = append(withoutID, e)
		case e.event.ID:
			e.receipt = event.Receipt{ID: id}
			added++
		default:
			e.receipt = event.Receipt{ID: id, Duplicate: true}
		}
	}
	return added, withoutID, err
}

// readIDs sets the receipts of events that another transaction stored. If that fails the caller retries: the events are safe.
func (w *postgresWriter) readIDs(ctx context.Context, events []*entry) {
	for _, e := range events {
		var id event.ID
		e.err = w.database.Pool.QueryRow(ctx, sqlKnown, e.event.Job, e.event.Digest[:]).Scan(&id)
		e.receipt = event.Receipt{ID: id, Duplicate: true}
	}
}

// claim removes events from the outbox and returns them. Concurrent claims skip each other's rows.
const claim = `
	WITH claimed AS (
		DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING seq
	)
	SELECT ` + entryColumns + ` FROM claimed JOIN callbacks USING (seq)`
