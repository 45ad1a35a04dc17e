package inbox

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/jackc/pgx/v5"
)

// postgresWriters is how many batches are committed at the same moment: while one waits
// for its sync, the server works on the next.
const postgresWriters = 4

// postgresWriter settles a batch in one round trip: its statements are sent together
// and are one transaction.
type postgresWriter struct {
	database  *database.DB
	config    Config
	committed func(delta int64) // hears of what was added to the outbox once it is safe
}

func openPostgres(db *database.DB, config Config, committed func(delta int64)) *postgresWriter {
	return &postgresWriter{database: db, config: config, committed: committed}
}

func (w *postgresWriter) close() error { return nil }

// The statements of a batch. Whoever inserts the same event at the same moment makes the
// insert wait for his commit, and shows up afterwards: then the id that counts is his.
const (
	sqlAccept = `
		WITH given AS (
			SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bytea[])
				AS g (id, job, digest, received_at, body, source, origin, token_hash)
		), fresh AS (
			INSERT INTO callbacks (id, job, digest, received_at, body, source, origin, token_hash)
			SELECT id, job, digest, received_at, body, source, origin, token_hash FROM given
			ON CONFLICT (job, digest) DO NOTHING RETURNING seq, id, job, digest
		), queued AS (
			INSERT INTO outbox (seq) SELECT seq FROM fresh
		)
		SELECT given.id, coalesce(fresh.id,
			(SELECT k.id FROM callbacks k WHERE k.job = given.job AND k.digest = given.digest), '')
		FROM given LEFT JOIN fresh ON fresh.id = given.id`
	sqlKnown = "SELECT id FROM callbacks WHERE job = $1 AND digest = $2"
	sqlKeep  = "INSERT INTO rejections (received_at, code, detail, body) VALUES ($1, $2, $3, $4)"
	// The oldest go, so that neither more than $1 rows nor more than $2 bytes are kept.
	sqlPrune = `
		DELETE FROM rejections WHERE seq <= (
			SELECT max(seq) FROM (
				SELECT seq, row_number() OVER newest AS n, sum(length(body)) OVER newest AS bytes
				FROM rejections WINDOW newest AS (ORDER BY seq DESC)
			) AS kept WHERE n > $1 OR bytes > $2)`
	sqlCarried = "DELETE FROM outbox WHERE seq = ANY ($1::bigint[])"
	sqlWritten = "INSERT INTO probe (id, written_at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET written_at = excluded.written_at"
)

// write settles a batch. The context of nobody who waits counts: a commit that is under way is not
// broken off because somebody lost patience, but it has a deadline of its own.
func (w *postgresWriter) write(batch []entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	err := w.commit(ctx, batch)
	if err == nil || len(batch) == 1 || !database.IsOwnFault(err) {
		return err
	}
	return w.apart(ctx, batch)
}

// apart settles the entries of a batch each on its own, when one of them is at fault: it delays only itself.
func (w *postgresWriter) apart(ctx context.Context, batch []entry) error {
	var failure error
	for n := range batch {
		if err := w.commit(ctx, batch[n:n+1]); err != nil {
			if a, ok := batch[n].(*acceptance); ok {
				a.unknown = err
				continue
			}
			failure = err
		}
	}
	return failure
}

// sorted is a batch by what is to be done.
type sorted struct {
	acceptances []*acceptance
	rejections  []*event.Rejection
	carried     []int64 // sequences that leave the outbox
	probe       *probeEntry
}

func sortEntries(batch []entry) (s sorted) {
	for _, e := range batch {
		switch e := e.(type) {
		case *acceptance:
			s.acceptances = append(s.acceptances, e)
		case *rejectionEntry:
			s.rejections = append(s.rejections, &e.rejection)
		case *relayedEntry:
			s.carried = append(s.carried, e.sequences...)
		case *probeEntry:
			s.probe = e
		}
	}
	return s
}

func (w *postgresWriter) commit(ctx context.Context, batch []entry) error {
	s := sortEntries(batch)
	statements := &pgx.Batch{}
	if w.database.Pooler {
		statements.Queue(database.SetSynchronous, true)
	}
	var added int64
	var unknown []*acceptance
	if fresh := firstOfEach(s.acceptances); len(fresh) > 0 {
		// In the same order everywhere, so that two batches with the same events wait one for the other and not both for ever.
		fresh = slices.SortedFunc(slices.Values(fresh), byIdentity)
		queueAccept(statements, fresh).Query(func(rows pgx.Rows) (err error) {
			added, unknown, err = readReceipts(rows, fresh)
			return err
		})
	}
	w.queueOthers(statements, s)
	if err := w.database.Pool.SendBatch(ctx, statements).Close(); err != nil {
		return fmt.Errorf("inbox: commit: %w", err)
	}
	w.committed(added - int64(len(s.carried)))
	w.lookUp(ctx, unknown)
	for _, a := range s.acceptances {
		if a.first != nil {
			a.receipt, a.unknown = event.Receipt{ID: a.first.receipt.ID, Duplicate: true}, a.first.unknown
		}
	}
	return nil
}

// queueOthers adds the statements that follow the events. The row that all replicas write is the last.
func (w *postgresWriter) queueOthers(statements *pgx.Batch, s sorted) {
	for _, r := range s.rejections {
		body := r.Body[:min(int64(len(r.Body)), int64(w.config.MaxRejectionsBytes))]
		statements.Queue(sqlKeep, r.Received.UnixMicro(), string(r.Code), withoutZero(r.Detail), notNull(body))
	}
	if len(s.rejections) > 0 {
		statements.Queue(sqlPrune, w.config.MaxRejections, int64(w.config.MaxRejectionsBytes))
	}
	if len(s.carried) > 0 {
		statements.Queue(sqlCarried, s.carried)
	}
	if s.probe != nil {
		statements.Queue(sqlWritten, s.probe.now.UnixMicro())
	}
}

// withoutZero gives a text that Postgres takes: it refuses the zero byte.
func withoutZero(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

func byIdentity(a, b *acceptance) int {
	return cmp.Or(strings.Compare(a.event.Job, b.event.Job), bytes.Compare(a.event.Digest[:], b.event.Digest[:]))
}

func queueAccept(statements *pgx.Batch, fresh []*acceptance) *pgx.QueuedQuery {
	ids, jobs := make([]string, len(fresh)), make([]string, len(fresh))
	digests, bodies, tokens := make([][]byte, len(fresh)), make([][]byte, len(fresh)), make([][]byte, len(fresh))
	received := make([]int64, len(fresh))
	sources, origins := make([]string, len(fresh)), make([]string, len(fresh))
	for n, a := range fresh {
		e := &a.event
		sources[n], origins[n], tokens[n] = sourceText(e), originText(e), e.Token
		ids[n], jobs[n], digests[n], received[n], bodies[n] = string(e.ID), e.Job, e.Digest[:], e.Received.UnixMicro(), notNull(e.Body)
	}
	return statements.Queue(sqlAccept, ids, jobs, digests, received, bodies, sources, origins, tokens)
}

// readReceipts gives every event its receipt, and says how many are new. Unknown are those that another
// transaction stored after the statement had begun.
func readReceipts(rows pgx.Rows, fresh []*acceptance) (added int64, unknown []*acceptance, err error) {
	known := make(map[event.ID]string, len(fresh))
	var given, counts string
	_, err = pgx.ForEachRow(rows, []any{&given, &counts}, func() error {
		known[event.ID(given)] = counts
		return nil
	})
	for _, a := range fresh {
		switch id := event.ID(known[a.event.ID]); id {
		case "":
			unknown = append(unknown, a)
		case a.event.ID:
			a.receipt = event.Receipt{ID: id}
			added++
		default:
			a.receipt = event.Receipt{ID: id, Duplicate: true}
		}
	}
	return added, unknown, err
}

// lookUp finds the ids of events that another transaction stored. They are safe; a caller who
// does not learn the id is told to ask again.
func (w *postgresWriter) lookUp(ctx context.Context, unknown []*acceptance) {
	for _, a := range unknown {
		var id string
		a.unknown = w.database.Pool.QueryRow(ctx, sqlKnown, a.event.Job, a.event.Digest[:]).Scan(&id)
		a.receipt = event.Receipt{ID: event.ID(id), Duplicate: true}
	}
}

// claim is what Claim runs: whoever claims at the same moment gets other rows.
const claim = `
	WITH claimed AS (
		DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING seq
	)
	SELECT seq, id, job, digest, received_at, length(body), source, origin, token_hash FROM claimed JOIN callbacks USING (seq)`
