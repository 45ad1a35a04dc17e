package migratedata

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// table is a table that is copied row by row. A row that the target has already is not changed.
type table struct{ name, columns, selected, where string }

// tablesBeforeEvents are copied before the events, so that nothing is sent to a disabled target meanwhile.
func tablesBeforeEvents() []table {
	return []table{
		{name: "targets", columns: "name, disabled_at, reason, detail, probe_at, probe_until"},
		{name: "kept_handlers", columns: "name, kept_at, kept_by"},
		{
			name: "tracked_jobs", // without their leases
			columns: "id, job, token_hash, token_digest, origin, state, created_at, next_at, horizon_at, polls, event_id, detail, " +
				"resolved_at, input, reference",
		},
	}
}

// tablesAfterEvents are copied after the events, because the target may run: the bulk replay in progress, of which no process of the
// target has the lease, and what is being erased or deleted.
func tablesAfterEvents() []table {
	return []table{
		{
			name: "bulk_replays", columns: "id, slot, filter, cursor, events, steps, begun_at, failed, holder, lease_until",
			selected: "id, slot, filter, cursor, events, steps, begun_at, failed, '', 0", where: " AND slot = 1",
		},
		{name: "erasures", columns: "job, images, requested_at, removed_at"},
		{name: "removed_files", columns: "key, handler, job, sha256, removed_at"},
	}
}

// The columns of the tables that belong to events; the first one is the event.
const (
	stepColumns     = "event_id, handler, position, state, attempt, tries, since, next_at, deferred_at, outage_at, host, reason, detail, changed_at"
	attemptColumns  = "event_id, handler, attempt, started_at, finished_at, outcome, reason, detail"
	wordColumns     = "event_id, word"
	artifactColumns = "event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at"
)

// copyTable copies a table in the order of its first column, which may have the same value in a few rows.
func (c *copier) copyTable(ctx context.Context, t table) error {
	columns := strings.Split(t.columns, ", ")
	last := ""
	for {
		rows, err := database.Query(ctx, c.source.Reader, fmt.Sprintf("SELECT %s FROM %s WHERE %s >= $1%s ORDER BY %s LIMIT $2",
			cmp.Or(t.selected, t.columns), t.name, columns[0], t.where, columns[0]), last, copyRows)
		if err != nil {
			return err
		}
		list, err := scanRows(rows, t.columns)
		if err != nil || len(list) == 0 {
			return err
		}
		last = list[len(list)-1][0].(string) //nolint:forcetypeassert // a TEXT column
		err = c.writer.Write(ctx, "migratedata: "+t.name, func(ctx context.Context, tx *sql.Tx) error {
			insert := database.Insert{Into: t.name + " (" + t.columns + ")", Columns: len(columns), Suffix: " ON CONFLICT DO NOTHING"}
			for _, row := range list {
				insert.Add(row...)
			}
			return insert.Run(ctx, tx, nil)
		})
		if err != nil || len(list) < copyRows {
			return err
		}
	}
}

// readTable reads the rows of the events whose ids are from first to last.
func readTable(ctx context.Context, from database.Querier, table, columns, first, last string) (list [][]any, err error) {
	rows, err := database.Query(ctx, from, "SELECT "+columns+" FROM "+table+" WHERE event_id BETWEEN $1 AND $2", first, last)
	if err != nil {
		return nil, err
	}
	return scanRows(rows, columns)
}

// scanRows reads rows of these columns without converting them.
func scanRows(rows *database.Rows, columns string) (list [][]any, err error) {
	width := strings.Count(columns, ",") + 1
	err = rows.ForEach(func() error {
		row, into := make([]any, width), make([]any, width)
		for n := range row {
			into[n] = &row[n]
		}
		list = append(list, row)
		return rows.Scan(into...)
	})
	return list, err
}

// insertTable adds the rows whose event is in fresh, and returns their number.
func insertTable(ctx context.Context, tx *sql.Tx, table, columns string, rows [][]any, fresh map[string]bool) (count int64, err error) {
	insert := database.Insert{Into: table + " (" + columns + ")", Columns: strings.Count(columns, ",") + 1}
	for _, row := range rows {
		if fresh[row[0].(string)] { //nolint:forcetypeassert // a TEXT column
			insert.Add(row...)
			count++
		}
	}
	return count, insert.Run(ctx, tx, nil)
}
