package inbox

import (
	"context"
	"database/sql"
	"errors"
)

// rejectionBounds is how many rejected bodies are kept, and how many may be.
type rejectionBounds struct {
	count, maxCount int
	bytes, maxBytes int64
}

func (b rejectionBounds) exceeded() bool { return b.count > b.maxCount || b.bytes > b.maxBytes }

// keepRejection stores a rejected body and lets the oldest go while the bounds
// are exceeded. A body that alone exceeds them is kept up to the bound.
func (w *sqliteWriter) keepRejection(ctx context.Context, e *rejectionEntry) error {
	r := &e.rejection
	body := r.Body[:min(int64(len(r.Body)), w.rejections.maxBytes)]
	_, err := w.statements[sqlReject].ExecContext(ctx, r.Received.UnixMicro(), string(r.Code), r.Detail, notNull(body))
	if err != nil {
		return err
	}
	w.rejections.count++
	w.rejections.bytes += int64(len(body))
	for w.rejections.exceeded() {
		if err := w.forgetOldest(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *sqliteWriter) forgetOldest(ctx context.Context) error {
	var sequence, length int64
	err := w.statements[sqlOldest].QueryRowContext(ctx).Scan(&sequence, &length)
	if errors.Is(err, sql.ErrNoRows) {
		w.rejections.count, w.rejections.bytes = 0, 0
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := w.statements[sqlForget].ExecContext(ctx, sequence); err != nil {
		return err
	}
	w.rejections.count--
	w.rejections.bytes -= length
	return nil
}

// notNull gives an empty body as an empty value, which the driver would write as NULL.
func notNull(body []byte) []byte {
	if body == nil {
		return []byte{}
	}
	return body
}
