package inbox

import (
	"context"
	"database/sql"
	"errors"
)

// removeEvents removes events or their bodies, and deletes tombstones.
func (w *sqliteWriter) removeEvents(ctx context.Context, b batch) error {
	for _, r := range b.removals {
		for _, e := range r.events {
			if err := w.removeEvent(ctx, e, r.at); err != nil {
				return err
			}
		}
	}
	for _, sequence := range b.tombstones {
		if _, err := w.statements[sqlExpire].ExecContext(ctx, sequence); err != nil {
			return err
		}
	}
	return nil
}

// removeEvent removes an event at a time, or only its body and its names at 0. Its row is deleted and put back, because SQLite does not merge the
// pages of rows that an update makes shorter.
func (w *sqliteWriter) removeEvent(ctx context.Context, e Identity, at int64) error {
	var sequence, received int64
	var digest, token []byte
	var source, origin string
	var removed sql.NullInt64
	err := w.statements[sqlFind].QueryRowContext(ctx, e.Job, string(e.ID)).
		Scan(&sequence, &digest, &received, &source, &origin, &token, &removed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if at > 0 {
		source, token = "", nil
		if !removed.Valid {
			removed = sql.NullInt64{Int64: at, Valid: true}
		}
		if err := w.leaveOutbox(ctx, sqlRelayed, sequence); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		statement string
		arguments []any
	}{
		{sqlTake, []any{sequence}},
		{sqlPutBack, []any{sequence, string(e.ID), e.Job, digest, received, source, origin, token, removed}},
		{sqlPurged, []any{string(e.ID)}},
		{sqlUnneeded, []any{string(e.ID)}},
	} {
		if _, err := w.statements[step.statement].ExecContext(ctx, step.arguments...); err != nil {
			return err
		}
	}
	return nil
}
