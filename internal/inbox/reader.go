package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// ErrNotFound is returned for an event that is not in the inbox.
var ErrNotFound = errors.New("inbox: no such event")

// originalBytes is the length of the original body of a row of callbacks.
const originalBytes = "coalesce((SELECT length(o.body) FROM originals o WHERE o.id = callbacks.id), 0)"

// entryColumns are what scanEntries reads of callbacks.
const entryColumns = "seq, id, job, digest, received_at, length(body), " + originalBytes + ", source, origin, token_hash, input, reference"

// Unrelayed returns the oldest events of the outbox, at most limit.
func (i *Inbox) Unrelayed(ctx context.Context, limit int) ([]event.Entry, error) {
	rows, err := i.database.Reader.QueryContext(ctx, `
		SELECT `+entryColumns+`
		FROM outbox JOIN callbacks USING (seq)
		ORDER BY seq LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("inbox: unrelayed: %w", err)
	}
	return scanEntries(rows)
}

// Claim removes the oldest events from the outbox and returns them, at most limit, in a transaction of the same Postgres database.
// It skips the events of other transactions that are not committed yet.
func Claim(ctx context.Context, tx *sql.Tx, limit int) ([]event.Entry, error) {
	rows, err := tx.QueryContext(ctx, claim, limit)
	if err != nil {
		return nil, fmt.Errorf("inbox: claim: %w", err)
	}
	return scanEntries(rows)
}

// UnrelayedBytes returns the bytes of the bodies in the outbox for each client IP.
func (i *Inbox) UnrelayedBytes(ctx context.Context) (map[netip.Addr]database.SourceBytes, error) {
	return database.SumBySource(ctx, i.database.Reader,
		"SELECT source, length(body) + "+originalBytes+" AS bytes FROM outbox JOIN callbacks USING (seq)")
}

// maxSampled is the number of events whose bodies Outbox measures. More would take long while many wait.
const maxSampled = 10_000

// Outbox returns the bytes of the bodies of accepted events that are not relayed yet, and when the oldest of them was received; zero if
// there is none. If more than maxSampled wait, the bytes are estimated from the oldest ones.
func (i *Inbox) Outbox(ctx context.Context) (bytes int64, oldest time.Time, err error) {
	var sampled int64
	var received sql.NullInt64
	err = i.database.Reader.QueryRowContext(ctx, `SELECT count(*), CAST(coalesce(sum(bytes), 0) AS BIGINT), min(received_at) FROM (
		SELECT length(body) + `+originalBytes+` AS bytes, received_at FROM outbox JOIN callbacks USING (seq) ORDER BY seq LIMIT $1
	) AS sample`, maxSampled).Scan(&sampled, &bytes, &received)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("inbox: outbox: %w", err)
	}
	if all := i.Backlog(); sampled == maxSampled && all > sampled {
		bytes = int64(float64(bytes) * float64(all) / float64(sampled))
	}
	return bytes, database.FromMicros(received.Int64), nil
}

func scanEntries(rows *sql.Rows) ([]event.Entry, error) {
	defer func() { _ = rows.Close() }()
	var entries []event.Entry
	for rows.Next() {
		var e event.Entry
		var received int64
		var source string
		var digest []byte
		err := rows.Scan(&e.Sequence, &e.ID, &e.Job, &digest, &received, &e.Bytes, &e.Original, &source, &e.Origin, &e.Token, &e.Input, &e.Reference)
		if err != nil {
			return nil, fmt.Errorf("inbox: unrelayed: %w", err)
		}
		copy(e.Digest[:], digest)
		e.Received = time.UnixMicro(received).UTC()
		e.Source, _ = netip.ParseAddr(source) // "" is an address that is not known
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("inbox: unrelayed: %w", err)
	}
	return entries, nil
}

// Body returns the body of an event byte for byte, or ErrNotFound. It selects by job and id and not by sequence number: an inbox
// that was lost or restored from an older copy assigns numbers again.
func (i *Inbox) Body(ctx context.Context, job string, id event.ID) ([]byte, error) {
	var body []byte
	err := i.database.Reader.QueryRowContext(ctx, "SELECT body FROM callbacks WHERE job = $1 AND id = $2", job, string(id)).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("inbox: body: %w", err)
	}
	return body, nil
}

// Original returns the body of an event as it came, or ErrNotFound if its body came as it is.
func (i *Inbox) Original(ctx context.Context, id event.ID) (original event.Original, err error) {
	err = i.database.Reader.QueryRowContext(ctx, "SELECT content_encoding, content_type, body FROM originals WHERE id = $1", string(id)).
		Scan(&original.ContentEncoding, &original.ContentType, &original.Body)
	if errors.Is(err, sql.ErrNoRows) {
		return original, ErrNotFound
	}
	if err != nil {
		return original, fmt.Errorf("inbox: original body: %w", err)
	}
	return original, nil
}

// DescribeOriginal is Original without the body, of which it returns the length in bytes.
func (i *Inbox) DescribeOriginal(ctx context.Context, id event.ID) (original event.Original, bytes int64, err error) {
	err = i.database.Reader.QueryRowContext(ctx, "SELECT content_encoding, content_type, length(body) FROM originals WHERE id = $1", string(id)).
		Scan(&original.ContentEncoding, &original.ContentType, &bytes)
	if errors.Is(err, sql.ErrNoRows) {
		return original, 0, ErrNotFound
	}
	if err != nil {
		return original, 0, fmt.Errorf("inbox: original body: %w", err)
	}
	return original, bytes, nil
}

// Stats are the counts of the inbox.
type Stats struct {
	Backlog       int64 // accepted and not relayed yet
	RejectedEver  int64 // rejections since the first start
	RejectedKept  int64 // rejections that are stored
	RejectedBytes int64 // of their bodies
}

// rejectedEver returns the query for the highest sequence number of all rejections, deleted ones included.
func rejectedEver(kind database.Kind) string {
	if kind == database.Postgres {
		return "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('rejections', 'seq')), 0)"
	}
	return "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'rejections'"
}

// ReadStats returns the counts of the inbox of a database.
func ReadStats(ctx context.Context, reader *sql.DB, kind database.Kind) (Stats, error) {
	var s Stats
	err := reader.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM outbox),
		(`+rejectedEver(kind)+`),
		(SELECT count(*) FROM rejections),
		(SELECT coalesce(sum(length(body)), 0) FROM rejections)`).
		Scan(&s.Backlog, &s.RejectedEver, &s.RejectedKept, &s.RejectedBytes)
	if err != nil {
		return Stats{}, fmt.Errorf("inbox: statistics: %w", err)
	}
	return s, nil
}

// Stats returns the counts of the inbox.
func (i *Inbox) Stats(ctx context.Context) (Stats, error) {
	return ReadStats(ctx, i.database.Reader, i.database.Kind)
}

// Rejected returns the number of rejections since the first start. It is faster than Stats.
func (i *Inbox) Rejected(ctx context.Context) (n int64, err error) {
	err = i.database.Reader.QueryRowContext(ctx, rejectedEver(i.database.Kind)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("inbox: rejected: %w", err)
	}
	return n, nil
}
