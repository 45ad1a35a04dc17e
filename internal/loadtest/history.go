package loadtest

import (
	"context"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// FillHistory adds processed events to empty stores, spread over 2026-01-01. One of a thousand is dead, one of three thousand is
// retrying. inbox may be nil; else the receiver has run once on the stores, so that they have their marks.
func FillHistory(ctx context.Context, inbox, work *database.DB, events int) error {
	series := "WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < %d)"
	const milliseconds = "(1767225600000 + n * 864 / 10)" // with which an id begins
	id := "substr(printf('%012x', " + milliseconds + "), 1, 8) || '-' || substr(printf('%012x', " + milliseconds + "), 9) || printf('-7000-8000-%012d', n)"
	digest, body := "randomblob(32)", "CAST('{\"job\":\"job-' || n || '\"}' AS BLOB)"
	if work.Kind == database.Postgres {
		series = "WITH series (n) AS (SELECT generate_series(1, %d)::bigint)"
		id = "overlay(lpad(to_hex(" + milliseconds + "), 12, '0') placing '-' from 9 for 0) || '-7000-8000-' || lpad(n::text, 12, '0')"
		digest, body = "sha256(n::text::bytea)", "('{\"job\":\"job-' || n || '\"}')::bytea"
	}
	series = fmt.Sprintf(series, events)
	const (
		state  = "CASE WHEN n % 1000 = 7 THEN 'dead' WHEN n % 3000 = 11 THEN 'retrying' ELSE 'done' END"
		reason = "CASE WHEN n % 1000 = 7 THEN 'expired' WHEN n % 3000 = 11 THEN 'timeout' ELSE '' END"
		at     = "1767225600000000 + n * 86400"
		colour = "CASE WHEN n % 5 = 0 THEN 'red' WHEN n < 10000 THEN 'old' ELSE 'blue' END" // a word of the input
	)
	err := execute(ctx, work,
		"INSERT INTO events (id, seq, job, received_at, bytes, state, input, reference) "+series+" SELECT "+id+", n, 'job-' || n, "+at+", 300, "+state+
			", 'shoe-' || "+colour+" || '.jpg', 'SKU-' || n FROM series",
		"INSERT INTO event_words (event_id, word) "+series+" SELECT "+id+", word FROM series CROSS JOIN (SELECT 'sku' AS word UNION ALL SELECT 'shoe'"+
			" UNION ALL SELECT 'jpg') AS words UNION ALL SELECT "+id+", CAST(n AS TEXT) FROM series UNION ALL SELECT "+id+", "+colour+" FROM series",
		"INSERT INTO steps (event_id, handler, position, state, attempt, tries, since, next_at, reason, changed_at) "+series+
			" SELECT "+id+", 'download', 0, "+state+", 1, 1, "+at+", CASE WHEN n % 3000 = 11 THEN 4102444800000000 END, "+reason+", "+at+" FROM series",
		"INSERT INTO artifacts (event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at) "+series+
			" SELECT "+id+", 'download', 0, '', 'k', 'u', 1, '', 'image/png', 10, 10, "+at+" FROM series WHERE n % 1000 <> 7",
	)
	if err != nil || inbox == nil {
		return err
	}
	callbacks := "INSERT INTO callbacks (seq, id, job, digest, received_at, body) " + series +
		" SELECT n, " + id + ", 'job-' || n, " + digest + ", " + at + ", " + body + " FROM series"
	if inbox.Kind == database.Postgres {
		return execute(ctx, inbox, callbacks, fmt.Sprintf("SELECT setval(pg_get_serial_sequence('callbacks', 'seq'), %d)", events))
	}
	mark := fmt.Sprintf("UPDATE mark SET relayed = %d", events)
	if err := execute(ctx, work, mark); err != nil {
		return err
	}
	return execute(ctx, inbox, callbacks, mark)
}

// execute executes statements one after the other, and gathers statistics.
func execute(ctx context.Context, db *database.DB, statements ...string) error {
	for _, statement := range append(statements, "ANALYZE") {
		if _, err := db.Writer.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("loadtest: history: %w", err)
		}
	}
	return nil
}
