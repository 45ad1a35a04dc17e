package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

const selectRejection = "SELECT seq, received_at, code, detail, body FROM rejections "

func scanRejection(row interface{ Scan(into ...any) error }) (r event.Rejection, err error) {
	var received int64
	err = row.Scan(&r.ID, &received, &r.Code, &r.Detail, &r.Body)
	r.Received = time.UnixMicro(received).UTC()
	return r, err
}

// Rejections returns the stored rejections, newest first, at most limit. If before is not 0, only those with a smaller ID.
func (i *Inbox) Rejections(ctx context.Context, before int64, limit int) ([]event.Rejection, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := i.database.Reader.QueryContext(ctx, selectRejection+"WHERE seq < $1 ORDER BY seq DESC LIMIT $2", before, limit)
	if err != nil {
		return nil, fmt.Errorf("inbox: rejections: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var rejections []event.Rejection
	for rows.Next() {
		r, err := scanRejection(rows)
		if err != nil {
			return nil, fmt.Errorf("inbox: rejections: %w", err)
		}
		rejections = append(rejections, r)
	}
	return rejections, rows.Err()
}

// RejectionSize is a stored rejection without its body.
type RejectionSize struct{ ID, Bytes int64 }

// RejectionSizes returns what Rejections returns, without the bodies.
func (i *Inbox) RejectionSizes(ctx context.Context, before int64, limit int) ([]RejectionSize, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	const query = "SELECT seq, length(body) FROM rejections WHERE seq < $1 ORDER BY seq DESC LIMIT $2"
	rows, err := i.database.Reader.QueryContext(ctx, query, before, limit)
	if err != nil {
		return nil, fmt.Errorf("inbox: rejections: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var sizes []RejectionSize
	for rows.Next() {
		var size RejectionSize
		if err := rows.Scan(&size.ID, &size.Bytes); err != nil {
			return nil, fmt.Errorf("inbox: rejections: %w", err)
		}
		sizes = append(sizes, size)
	}
	return sizes, rows.Err()
}

// Rejection returns a stored rejection, or ErrNotFound.
func (i *Inbox) Rejection(ctx context.Context, id int64) (event.Rejection, error) {
	r, err := scanRejection(i.database.Reader.QueryRowContext(ctx, selectRejection+"WHERE seq = $1", id))
	if errors.Is(err, sql.ErrNoRows) {
		return event.Rejection{}, ErrNotFound
	}
	if err != nil {
		return event.Rejection{}, fmt.Errorf("inbox: rejection: %w", err)
	}
	return r, nil
}

// AcceptRejection stores a rejection as an event, because a person accepts it, and deletes it. See event.Rejection.Event for job
// and resultURL. It fails with ErrNotFound, with an *event.InvalidError if the event has no valid job, and as Accept does.
func (i *Inbox) AcceptRejection(ctx context.Context, id int64, job, resultURL string) (event.Receipt, error) {
	rejection, err := i.Rejection(ctx, id)
	if err != nil {
		return event.Receipt{}, err
	}
	e, err := rejection.Event(job, resultURL)
	if err != nil {
		return event.Receipt{}, err
	}
	receipt, err := i.Accept(ctx, e)
	if err != nil {
		return event.Receipt{}, err
	}
	return receipt, i.DeleteRejection(ctx, id)
}

// DeleteRejection deletes a rejection, if it is stored, and returns when that is committed.
func (i *Inbox) DeleteRejection(ctx context.Context, id int64) error {
	return i.commit(ctx, &entry{kind: deleteRejection, sequences: []int64{id}})
}
