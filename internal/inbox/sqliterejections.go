package inbox

import (
	"context"
	"database/sql"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// rejectionBounds are the number and the bytes of the stored bodies, and their limits.
type rejectionBounds struct {
	count, maxCount int
	bytes, maxBytes int64
}

func (b rejectionBounds) exceeded() bool { return b.count > b.maxCount || b.bytes > b.maxBytes }

// storeRejection stores a body and deletes the oldest ones while the limits are exceeded. A body is cut to the limit of bytes.
func (w *sqliteWriter) storeRejection(ctx context.Context, r *event.Rejection) error {
	body := r.Body[:min(int64(len(r.Body)), w.rejections.maxBytes)]
	_, err := w.statements[sqlReject].ExecContext(ctx, r.Received.UnixMicro(), string(r.Code), r.Detail, notNull(body))
	if err != nil {
		return err
	}
	w.rejections.count++
	w.rejections.bytes += int64(len(body))
	for w.rejections.exceeded() {
		if err := w.deleteOldestRejection(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *sqliteWriter) deleteOldestRejection(ctx context.Context) error {
	var sequence, length int64
	err := w.statements[sqlOldest].QueryRowContext(ctx).Scan(&sequence, &length)
	if errors.Is(err, sql.ErrNoRows) {
		w.rejections.count, w.rejections.bytes = 0, 0
		return nil
	}
	if err != nil {
		return err
	}
	return w.forgetRejection(ctx, sequence, length)
}

// deleteRejection deletes a body. It may be deleted already.
func (w *sqliteWriter) deleteRejection(ctx context.Context, sequence int64) error {
	var length int64
	err := w.statements[sqlLength].QueryRowContext(ctx, sequence).Scan(&length)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.forgetRejection(ctx, sequence, length)
}

func (w *sqliteWriter) forgetRejection(ctx context.Context, sequence, length int64) error {
	if _, err := w.statements[sqlForget].ExecContext(ctx, sequence); err != nil {
		return err
	}
	w.rejections.count--
	w.rejections.bytes -= length
	return nil
}
