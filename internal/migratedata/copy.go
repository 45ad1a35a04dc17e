// Package migratedata copies the events of a receiver from SQLite to Postgres.
package migratedata

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// Copied counts what became of the events of one work store in another.
type Copied struct {
	Found     int64 `json:"found"`      // in the source
	Fresh     int64 `json:"fresh"`      // copied now, with their steps, attempts and artifacts
	Known     int64 `json:"known"`      // were there already, as after an earlier copy
	NoInbox   int64 `json:"no_inbox"`   // the inbox of the target does not have them under this id
	Steps     int64 `json:"steps"`      // copied now
	Attempts  int64 `json:"attempts"`   // copied now
	Artifacts int64 `json:"artifacts"`  // copied now
	Jobs      int64 `json:"still_open"` // steps that are still to be worked on, and have their jobs now
}

// copyRows is how many rows are copied in one transaction.
const copyRows = 200

// table is a table that is copied row by row; a row that the target has already stays as it is there.
type table struct{ name, columns, selected, where string }

// The tables besides those of events. Nobody holds a lease in the target.
var (
	targets     = table{name: "targets", columns: "name, disabled_at, reason, detail"}
	trackedJobs = table{name: "tracked_jobs", columns: "id, job, token_hash, token_digest, origin, state, created_at, next_at, horizon_at, polls, event_id, detail, resolved_at"}
	bulkReplays = table{
		name: "bulk_replays", columns: "id, slot, filter, cursor, events, steps, begun_at, failed, holder, lease_until",
		selected: "id, slot, filter, cursor, events, steps, begun_at, failed, '', 0", where: " AND slot = 1",
	}
)

// The tables that hang on an event, with the column that names it first.
const (
	stepColumns     = "event_id, handler, position, state, attempt, tries, since, next_at, deferred_at, reason, detail, changed_at"
	attemptColumns  = "event_id, handler, attempt, started_at, finished_at, outcome, reason, detail"
	artifactColumns = "event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at"
)

// count returns how many events a work database holds.
func count(ctx context.Context, db *database.DB) (n int64, err error) {
	err = db.Reader.QueryRowContext(ctx, "SELECT count(*) FROM events").Scan(&n)
	return n, database.Wrap("migratedata: count", err)
}

// Databases are the two databases of a receiver.
type Databases struct{ Inbox, Work *database.DB }

// Queue inserts the jobs of steps that are to run.
type Queue interface {
	Insert(ctx context.Context, tx *sql.Tx, jobs []queue.Job) error
}

// Report is the result of Copy.
type Report struct {
	Inbox inbox.Copied `json:"inbox"`
	Work  Copied       `json:"work"`
	// Complete says that everything of the source was found in the target at the end.
	Complete bool `json:"complete"`
}

// copier copies from one work database to another.
type copier struct {
	source *database.DB
	writer *database.Writer // of the target
	queue  Queue            // of the target
}

// Copy copies the events of a receiver with SQLite, their bodies, steps and history to Postgres, and verifies the result. No other process
// may use the source; the target may run. It can be repeated: what the target has already is not changed.
// progress is called with the number of rows that are done, of all.
func Copy(ctx context.Context, source, target Databases, queue Queue, progress func(done, all int)) (report Report, err error) {
	bodies, err := inbox.Count(ctx, source.Inbox)
	if err != nil {
		return report, err
	}
	events, err := count(ctx, source.Work)
	if err != nil {
		return report, err
	}
	done := 0
	step := func(rows int) {
		done += rows
		progress(done, int(bodies+events))
	}
	if report.Inbox, err = inbox.Copy(ctx, source.Inbox, target.Inbox, step); err != nil {
		return report, err
	}
	writer := database.NewWriter(target.Work)
	defer func() { err = errors.Join(err, writer.Close()) }()
	c := &copier{source: source.Work, writer: writer, queue: queue}
	if report.Work, err = c.copy(ctx, step); err != nil {
		return report, err
	}
	return c.verifyAll(ctx, source, target, report)
}

// verifyAll counts again what is in the target.
func (c *copier) verifyAll(ctx context.Context, source, target Databases, report Report) (Report, error) {
	bodies, err := inbox.Verify(ctx, source.Inbox, target.Inbox)
	if err != nil {
		return report, err
	}
	events, complete, err := c.verify(ctx)
	if err != nil {
		return report, err
	}
	report.Complete = complete && bodies == report.Inbox.Found && events == report.Work.Found-report.Work.NoInbox &&
		report.Work.NoInbox <= report.Inbox.OtherID
	return report, nil
}

// copy adds the events of the source whose bodies are in the target's inbox:
// their steps, attempts and artifacts, and a queue job for every step that is to run; also the targets
// that are disabled, the tracked jobs, and the bulk replay that is in progress.
func (c *copier) copy(ctx context.Context, progress func(events int)) (copied Copied, err error) {
	// Disabled targets come first, so that nothing is sent to them meanwhile, and the bulk replay last, when its events are there.
	for _, t := range []table{targets, trackedJobs} {
		if err := c.copyTable(ctx, t); err != nil {
			return copied, database.Wrap("migratedata: copy", err)
		}
	}
	last := ""
	for {
		events, err := c.events(ctx, last)
		if err == nil && len(events) == 0 {
			err = c.copyTable(ctx, bulkReplays)
		}
		if err != nil || len(events) == 0 {
			return copied, database.Wrap("migratedata: copy", err)
		}
		last = events[len(events)-1].id
		if err := c.copyBatch(ctx, events, &copied); err != nil {
			return copied, err
		}
		progress(len(events))
	}
}

func (c *copier) copyTable(ctx context.Context, t table) error {
	columns := strings.Split(t.columns, ", ")
	last := ""
	for {
		//nolint:gosec // constants and numbered parameters only
		rows, err := c.source.Reader.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s > $1%s ORDER BY %s LIMIT $2",
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
		if err != nil {
			return err
		}
	}
}

// eventRow is a row of the table of events.
type eventRow struct {
	id, job, state, source, origin, url string
	received, bytes                     int64
	verified, recheck                   *int64
	key                                 *string
}

// events reads the next events of the source.
func (c *copier) events(ctx context.Context, after string) (list []eventRow, err error) {
	rows, err := c.source.Reader.QueryContext(ctx, `SELECT id, job, state, source, origin, result_url, received_at, bytes, verified_at, recheck_at, result_key
		FROM events WHERE id > $1 ORDER BY id LIMIT $2`, after, copyRows)
	if err != nil {
		return nil, err
	}
	err = database.ForEachRow(rows, func() error {
		var e eventRow
		err := rows.Scan(&e.id, &e.job, &e.state, &e.source, &e.origin, &e.url, &e.received, &e.bytes, &e.verified, &e.recheck, &e.key)
		list = append(list, e)
		return err
	})
	return list, err
}

func (c *copier) copyBatch(ctx context.Context, events []eventRow, copied *Copied) error {
	first, last := events[0].id, events[len(events)-1].id
	steps, err := readTable(ctx, c.source.Reader, "steps", stepColumns, first, last)
	if err != nil {
		return database.Wrap("migratedata: copy", err)
	}
	attempts, err := readTable(ctx, c.source.Reader, "attempts", attemptColumns, first, last)
	if err != nil {
		return database.Wrap("migratedata: copy", err)
	}
	artifacts, err := readTable(ctx, c.source.Reader, "artifacts", artifactColumns, first, last)
	if err != nil {
		return database.Wrap("migratedata: copy", err)
	}
	var counted Copied
	err = c.writer.Write(ctx, "migratedata: copy", func(ctx context.Context, tx *sql.Tx) error {
		counted = Copied{Found: int64(len(events))}
		fresh, err := insertCopies(ctx, tx, events, &counted)
		if err != nil {
			return err
		}
		for _, table := range []struct {
			name, columns string
			rows          [][]any
			count         *int64
		}{
			{"steps", stepColumns, steps, &counted.Steps},
			{"attempts", attemptColumns, attempts, &counted.Attempts},
			{"artifacts", artifactColumns, artifacts, &counted.Artifacts},
		} {
			if *table.count, err = insertTable(ctx, tx, table.name, table.columns, table.rows, fresh); err != nil {
				return err
			}
		}
		jobs := openJobs(steps, fresh)
		counted.Jobs = int64(len(jobs))
		return c.queue.Insert(ctx, tx, jobs)
	})
	copied.add(counted)
	return err
}

func (c *Copied) add(more Copied) {
	c.Found, c.Fresh, c.Known, c.NoInbox = c.Found+more.Found, c.Fresh+more.Fresh, c.Known+more.Known, c.NoInbox+more.NoInbox
	c.Steps, c.Attempts, c.Artifacts, c.Jobs = c.Steps+more.Steps, c.Attempts+more.Attempts, c.Artifacts+more.Artifacts, c.Jobs+more.Jobs
}

// insertCopies adds the events that are in the inbox here and not in the work store yet, and gives their ids.
func insertCopies(ctx context.Context, tx *sql.Tx, events []eventRow, c *Copied) (fresh map[string]bool, err error) {
	var ids, jobs, states, sources, origins, urls []string
	var received, bytes []int64
	var verified, rechecks []*int64
	var keys []*string
	for _, e := range events {
		ids, jobs, states = append(ids, e.id), append(jobs, e.job), append(states, e.state)
		received, bytes = append(received, e.received), append(bytes, e.bytes)
		sources, origins, urls = append(sources, e.source), append(origins, e.origin), append(urls, e.url)
		verified, rechecks, keys = append(verified, e.verified), append(rechecks, e.recheck), append(keys, e.key)
	}
	rows, err := tx.QueryContext(ctx, `
		WITH given AS (
			SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
				$9::bigint[], $10::bigint[], $11::text[])
				AS g (id, job, received_at, bytes, state, source, origin, result_url, verified_at, recheck_at, result_key)
		), kept AS (
			SELECT given.*, k.seq FROM given JOIN callbacks k ON k.job = given.job AND k.id = given.id
		), fresh AS (
			INSERT INTO events (id, seq, job, received_at, bytes, state, source, origin, result_url, verified_at, recheck_at, result_key)
			SELECT id, seq, job, received_at, bytes, state, source, origin, result_url, verified_at, recheck_at,
				CASE WHEN NOT EXISTS (SELECT 1 FROM events e WHERE e.job = kept.job AND e.result_key = kept.result_key) THEN result_key END
			FROM kept
			ON CONFLICT (id) DO NOTHING RETURNING id
		)
		SELECT kept.id, fresh.id IS NOT NULL FROM kept LEFT JOIN fresh ON fresh.id = kept.id`,
		ids, jobs, received, bytes, states, sources, origins, urls, verified, rechecks, keys)
	if err != nil {
		return nil, err
	}
	fresh = map[string]bool{}
	var kept int64
	err = database.ForEachRow(rows, func() error {
		var id string
		var isFresh bool
		err := rows.Scan(&id, &isFresh)
		kept++
		if isFresh {
			fresh[id] = true
		}
		return err
	})
	c.Fresh = int64(len(fresh))
	c.Known, c.NoInbox = kept-c.Fresh, c.Found-kept
	return fresh, err
}

// readTable reads the rows of the events from first to last.
func readTable(ctx context.Context, from database.Querier, table, columns, first, last string) (list [][]any, err error) {
	rows, err := from.QueryContext(ctx, "SELECT "+columns+" FROM "+table+" WHERE event_id BETWEEN $1 AND $2", first, last)
	if err != nil {
		return nil, err
	}
	return scanRows(rows, columns)
}

// scanRows reads rows of these columns as they are.
func scanRows(rows *sql.Rows, columns string) (list [][]any, err error) {
	width := strings.Count(columns, ",") + 1
	err = database.ForEachRow(rows, func() error {
		row, into := make([]any, width), make([]any, width)
		for n := range row {
			into[n] = &row[n]
		}
		list = append(list, row)
		return rows.Scan(into...)
	})
	return list, err
}

// insertTable adds those rows whose event is fresh.
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

// openJobs gives a job for every fresh step that is to be worked on, at its time. One that is parked gets its
// job when that is over.
func openJobs(steps [][]any, fresh map[string]bool) []queue.Job {
	columns := strings.Split(stepColumns, ", ")
	stateColumn, nextColumn, parkedColumn := slices.Index(columns, "state"), slices.Index(columns, "next_at"), slices.Index(columns, "deferred_at")
	var jobs []queue.Job
	for _, row := range steps {
		id, name := fmt.Sprint(row[0]), fmt.Sprint(row[1])
		if !fresh[id] || row[parkedColumn] != nil {
			continue
		}
		switch event.Status(fmt.Sprint(row[stateColumn])) {
		case event.Pending, event.Running, event.Retrying:
			job := queue.Job{Event: event.ID(id), Handler: name}
			if next, ok := row[nextColumn].(int64); ok {
				job.At = time.UnixMicro(next)
			}
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// verify counts how many events, steps, attempts and artifacts of the source are in the target. Of attempts and artifacts
// there may be more: the target runs.
func (c *copier) verify(ctx context.Context) (events int64, complete bool, err error) {
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
		var here int64
		if err := c.writer.DB.Pool.QueryRow(ctx, "SELECT count(*) FROM events WHERE id = ANY ($1::text[])", ids).Scan(&here); err != nil {
			return events, false, database.Wrap("migratedata: verify", err)
		}
		events += here
		for _, table := range []string{"steps", "attempts", "artifacts"} {
			enough, err := c.hasAsMany(ctx, table, first, last, ids)
			if err != nil {
				return events, false, database.Wrap("migratedata: verify", err)
			}
			complete = complete && enough
		}
	}
}

// hasAsMany compares a table here with that of the source, for the events that are here.
func (c *copier) hasAsMany(ctx context.Context, table, first, last string, ids []string) (bool, error) {
	rows, err := c.source.Reader.QueryContext(ctx,
		"SELECT event_id, count(*) FROM "+table+" WHERE event_id BETWEEN $1 AND $2 GROUP BY event_id", first, last) //nolint:gosec // a constant of the caller
	if err != nil {
		return false, err
	}
	there := map[string]int64{}
	if err := eachCount(rows, there); err != nil {
		return false, err
	}
	//nolint:gosec // table is a constant of the caller
	rows, err = c.writer.DB.Reader.QueryContext(ctx, "SELECT id, (SELECT count(*) FROM "+table+
		" WHERE event_id = events.id) FROM events WHERE id = ANY ($1::text[])", ids)
	if err != nil {
		return false, err
	}
	here := map[string]int64{}
	if err := eachCount(rows, here); err != nil {
		return false, err
	}
	for id, count := range here {
		if count < there[id] {
			return false, nil
		}
	}
	return true, nil
}

func eachCount(rows *sql.Rows, into map[string]int64) error {
	return database.ForEachRow(rows, func() error {
		var id string
		var n int64
		err := rows.Scan(&id, &n)
		into[id] = n
		return err
	})
}
