package inbox

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// Stored is an event of a job as the inbox has it.
type Stored struct {
	Identity

	Received time.Time
	Removed  bool // only its tombstone is here
}

// OfJob returns the events of a job, tombstones included.
func (i *Inbox) OfJob(ctx context.Context, job string) ([]Stored, error) {
	type row struct {
		id       event.ID
		received int64
		removed  sql.NullInt64
	}
	list, err := database.Select(ctx, i.database.Reader, func(r *row) []any { return []any{&r.id, &r.received, &r.removed} },
		"SELECT id, received_at, removed_at FROM callbacks WHERE job = $1", job)
	if err != nil {
		return nil, database.Wrap("inbox: events of a job", err)
	}
	stored := make([]Stored, len(list))
	for n, r := range list {
		stored[n] = Stored{Identity: Identity{Job: job, ID: r.id}, Received: database.FromMicros(r.received), Removed: r.removed.Valid}
	}
	return stored, nil
}

// RejectionsOf returns the IDs of the rejections whose bodies contain the id of a job, as text.
func (i *Inbox) RejectionsOf(ctx context.Context, job string) (ids []int64, err error) {
	rows, err := database.Query(ctx, i.database.Reader, "SELECT seq, body FROM rejections ORDER BY seq")
	if err != nil {
		return nil, fmt.Errorf("inbox: rejections of a job: %w", err)
	}
	err = rows.ForEach(func() error {
		var id int64
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		if bytes.Contains(body, []byte(job)) {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, database.Wrap("inbox: rejections of a job", err)
}
