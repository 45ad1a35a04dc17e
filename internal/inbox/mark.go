package inbox

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// Numbers are the sequence numbers of the events in an inbox file.
type Numbers struct {
	Last    int64 // of the newest event
	Relayed int64 // of the newest that has left the outbox
}

// ReadNumbers returns the numbers of an inbox file on which no Inbox is open.
func ReadNumbers(ctx context.Context, db *database.DB) (Numbers, error) {
	var numbers Numbers
	// Events leave the outbox in the order of their numbers.
	err := db.Writer.QueryRowContext(ctx, `SELECT last, coalesce((SELECT min(seq) - 1 FROM outbox), last)
		FROM (SELECT coalesce(max(seq), 0) AS last FROM callbacks)`).Scan(&numbers.Last, &numbers.Relayed)
	if err != nil {
		return Numbers{}, fmt.Errorf("inbox: numbers: %w", err)
	}
	return numbers, nil
}

// Requeue has the events with numbers after the one given relayed again, and returns how many. Those whose bodies were removed are
// not relayed again. No Inbox is open on the file.
func Requeue(ctx context.Context, db *database.DB, after int64) (int64, error) {
	result, err := db.Writer.ExecContext(ctx, `INSERT INTO outbox (seq) SELECT seq FROM callbacks
		WHERE seq > $1 AND length(body) > 0 ON CONFLICT DO NOTHING`, after)
	if err != nil {
		return 0, fmt.Errorf("inbox: requeue: %w", err)
	}
	return result.RowsAffected()
}

// lastNumber returns the highest number that an event of this receiver ever had, also if this file was lost or restored
// from an older copy: numbers are not given twice.
func lastNumber(ctx context.Context, connection *sql.Conn) (last int64, err error) {
	row := connection.QueryRowContext(ctx, "SELECT max(coalesce((SELECT max(seq) FROM callbacks), 0), coalesce((SELECT relayed FROM mark), 0))")
	if err := row.Scan(&last); err != nil {
		return 0, fmt.Errorf("inbox: last event: %w", err)
	}
	return last, nil
}

// RequeueEvents has single events relayed again, by their sequence numbers. No Inbox is open on the file.
func RequeueEvents(ctx context.Context, db *database.DB, sequences []int64) error {
	for _, sequence := range sequences {
		_, err := db.Writer.ExecContext(ctx, "INSERT INTO outbox (seq) SELECT seq FROM callbacks WHERE seq = $1 ON CONFLICT DO NOTHING", sequence)
		if err != nil {
			return fmt.Errorf("inbox: requeue %d: %w", sequence, err)
		}
	}
	return nil
}
