package migratedata

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/inbox"
)

// verify counts in the target what was copied.
func (c *copier) verify(ctx context.Context, source, target Databases, report Report) (Report, error) {
	bodies, err := inbox.Verify(ctx, source.Inbox, target.Inbox)
	if err != nil {
		return report, err
	}
	events, complete, err := c.verifyWork(ctx)
	if err != nil {
		return report, err
	}
	report.Complete = complete && bodies == report.Inbox.Found && events == report.Work.Found-report.Work.NoInbox &&
		report.Work.NoInbox <= report.Inbox.OtherID
	return report, nil
}

// count returns how many events a work database holds.
func count(ctx context.Context, db *database.DB) (n int64, err error) {
	err = db.Reader.QueryRowContext(ctx, "SELECT count(*) FROM events").Scan(&n)
	return n, database.Wrap("migratedata: count", err)
}

// verifyWork counts the events of the source that are in the target, and reports whether their steps, attempts and artifacts are there too. The
// target may have more attempts and artifacts, because it may run.
func (c *copier) verifyWork(ctx context.Context) (events int64, complete bool, err error) {
	complete = true
	last := ""
	for {
		batch, err := c.events(ctx, last)
		if err != nil || len(batch) == 0 {
			return events, complete, database.Wrap("migratedata: verify", err)
		}
		first := batch[0].id
		last = batch[len(batch)-1].id
		ids := make([]string, len(batch))
		for n, e := range batch {
			ids[n] = e.id
		}
		var copied int64
		if err := c.writer.DB.Pool.QueryRow(ctx, "SELECT count(*) FROM events WHERE id = ANY ($1::text[])", ids).Scan(&copied); err != nil {
			return events, false, database.Wrap("migratedata: verify", err)
		}
		events += copied
		for _, table := range []string{"steps", "attempts", "artifacts"} {
			enough, err := c.hasAsMany(ctx, table, first, last, ids)
			if err != nil {
				return events, false, database.Wrap("migratedata: verify", err)
			}
			complete = complete && enough
		}
	}
}

// hasAsMany reports whether a table of the target has at least as many rows as that of the source, for every event that the target has.
func (c *copier) hasAsMany(ctx context.Context, table, first, last string, ids []string) (bool, error) {
	rows, err := database.Query(ctx, c.source.Reader,
		"SELECT event_id, count(*) FROM "+table+" WHERE event_id BETWEEN $1 AND $2 GROUP BY event_id", first, last)
	if err != nil {
		return false, err
	}
	source := map[string]int64{}
	if err := scanCounts(rows, source); err != nil {
		return false, err
	}
	rows, err = database.Query(ctx, c.writer.DB.Reader, "SELECT id, (SELECT count(*) FROM "+table+
		" WHERE event_id = events.id) FROM events WHERE id = ANY ($1::text[])", ids)
	if err != nil {
		return false, err
	}
	target := map[string]int64{}
	if err := scanCounts(rows, target); err != nil {
		return false, err
	}
	for id, count := range target {
		if count < source[id] {
			return false, nil
		}
	}
	return true, nil
}

func scanCounts(rows *database.Rows, into map[string]int64) error {
	return rows.ForEach(func() error {
		var id string
		var n int64
		err := rows.Scan(&id, &n)
		into[id] = n
		return err
	})
}
