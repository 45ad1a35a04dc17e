package inbox

import (
	"context"
	"database/sql"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// storeEvents stores the new events of a batch and sets all receipts.
func (w *sqliteWriter) storeEvents(ctx context.Context, events []*entry) error {
	unique, err := w.withoutSigned(ctx, firstOfEach(events))
	if err != nil {
		return err
	}
	before := w.sequence
	inserted, err := w.insertRows(ctx, unique)
	if err != nil {
		return err
	}
	if inserted < int64(len(unique)) {
		if err := w.readIDs(ctx, unique); err != nil {
			return err
		}
	}
	if err := w.storeOriginals(ctx, unique); err != nil {
		return err
	}
	if inserted > 0 {
		if _, err := w.statements[sqlOutbox].ExecContext(ctx, before); err != nil {
			return err
		}
		w.outbox += inserted
	}
	copyReceipts(events)
	return nil
}

// storeOriginals stores the original bodies of new events.
func (w *sqliteWriter) storeOriginals(ctx context.Context, events []*entry) error {
	for _, e := range events {
		original := e.event.Original
		if original == nil || e.receipt.Duplicate {
			continue
		}
		_, err := w.statements[sqlOriginal].ExecContext(ctx, string(e.event.ID), original.ContentEncoding, original.ContentType, notNull(original.Body))
		if err != nil {
			return err
		}
	}
	return nil
}

// withoutSigned returns the events that are not stored with their SignedDigest, and sets the receipts of the others.
func (w *sqliteWriter) withoutSigned(ctx context.Context, events []*entry) ([]*entry, error) {
	unknown := make([]*entry, 0, len(events))
	for _, e := range events {
		if !e.hasSignedDigest() {
			unknown = append(unknown, e)
			continue
		}
		var id event.ID
		err := w.statements[sqlFirst].QueryRowContext(ctx, e.event.Job, e.event.SignedDigest[:]).Scan(&id)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			unknown = append(unknown, e)
		case err != nil:
			return nil, err
		default:
			e.receipt = event.Receipt{ID: id, Duplicate: true}
		}
	}
	return unknown, nil
}

// insertRows inserts events in prepared chunks and returns the number of new ones. It sets the receipts of new events; readIDs
// corrects those of duplicates.
func (w *sqliteWriter) insertRows(ctx context.Context, events []*entry) (inserted int64, err error) {
	for _, insert := range w.inserts {
		for ; len(events) >= insert.rows && (insert.rows == 1 || bytesOf(events[:insert.rows]) <= maxChunkBytes); events = events[insert.rows:] {
			result, err := insert.statement.ExecContext(ctx, w.chunk(events[:insert.rows])...)
			clear(w.arguments) // the bodies
			if err != nil {
				return inserted, err
			}
			rows, err := result.RowsAffected()
			if err != nil {
				return inserted, err
			}
			inserted += rows
		}
	}
	return inserted, nil
}

// maxChunkBytes bounds the bodies of an insert of several rows, because SQLite copies all of them at the same time.
const maxChunkBytes = 1 << 20

func bytesOf(events []*entry) (sum int) {
	for _, e := range events {
		sum += e.size()
	}
	return sum
}

func (w *sqliteWriter) chunk(events []*entry) []any {
	w.arguments = w.arguments[:0]
	for _, each := range events {
		w.sequence++
		e := &each.event
		each.receipt = event.Receipt{ID: e.ID}
		w.arguments = append(w.arguments, w.sequence, string(e.ID), e.Job, e.Digest[:], e.Received.UnixMicro(), e.Body, sourceText(e), originText(e),
			e.Token, e.Input, e.Reference)
	}
	return w.arguments
}

// readIDs sets the receipts of events of which some are duplicates.
func (w *sqliteWriter) readIDs(ctx context.Context, events []*entry) error {
	for _, e := range events {
		var id event.ID
		if err := w.statements[sqlFirst].QueryRowContext(ctx, e.event.Job, e.event.Digest[:]).Scan(&id); err != nil {
			return err
		}
		e.receipt = event.Receipt{ID: id, Duplicate: id != e.event.ID}
	}
	return nil
}
