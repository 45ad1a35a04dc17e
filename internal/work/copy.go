package work

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
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

// copyRows is how many events are copied in one transaction.
const copyRows = 200

// The tables that hang on an event, with the column that names it first.
const (
	stepColumns     = "event_id, handler, position, state, attempt, tries, since, next_at, parked_at, reason, detail, changed_at"
	attemptColumns  = "event_id, handler, attempt, started_at, finished_at, outcome, reason, detail"
	artifactColumns = "event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at"
)

// Count says how many events a work store holds.
func Count(ctx context.Context, db *database.DB) (n int64, err error) {
	err = db.Reader.QueryRowContext(ctx, "SELECT count(*) FROM events").Scan(&n)
	return n, wrap("count", err)
}

// CopyFrom adds the events of a work store in SQLite whose bodies are in the inbox of this one, in Postgres:
// their steps, attempts and artifacts, and a job for every step that is to be worked on; also the targets
// that are disabled, the expectations, and the replay that is under way. What is here already is left as it is, so that it can be
// run again. Nobody else has the source open. progress hears of every event.
func (s *Store) CopyFrom(ctx context.Context, source *database.DB, progress func(events int)) (c Copied, err error) {
	if err := s.copyTargets(ctx, source); err != nil {
		return c, wrap("copy", err)
	}
	if err := s.copyExpectations(ctx, source); err != nil {
		return c, wrap("copy", err)
	}
	var last event.ID
	for {
		events, err := s.copyable(ctx, source, last)
		if err == nil && len(events) == 0 {
			err = s.copyRerun(ctx, source)
		}
		if err != nil || len(events) == 0 {
			return c, wrap("copy", err)
		}
		last = events[len(events)-1].ID
		if err := s.copyBatch(ctx, source, events, &c); err != nil {
			return c, err
		}
		progress(len(events))
	}
}

// copyTargets comes first, so that nothing is sent to a disabled target meanwhile.
func (s *Store) copyTargets(ctx context.Context, source *database.DB) error {
	targets, err := targets(ctx, source.Reader)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.Disabled.IsZero() {
			continue
		}
		if err := s.Disable(ctx, t.Name, t.Reason, t.Detail); err != nil {
			return err
		}
	}
	return nil
}

// copyable reads the next events of the source.
func (s *Store) copyable(ctx context.Context, source *database.DB, after event.ID) ([]Event, error) {
	return queryEvents(ctx, source.Reader, "FROM events WHERE id > $1 ORDER BY id LIMIT $2", string(after), copyRows)
}

func (s *Store) copyBatch(ctx context.Context, source *database.DB, events []Event, c *Copied) error {
	first, last := string(events[0].ID), string(events[len(events)-1].ID)
	steps, err := readTable(ctx, source.Reader, "steps", stepColumns, first, last)
	if err != nil {
		return wrap("copy", err)
	}
	attempts, err := readTable(ctx, source.Reader, "attempts", attemptColumns, first, last)
	if err != nil {
		return wrap("copy", err)
	}
	artifacts, err := readTable(ctx, source.Reader, "artifacts", artifactColumns, first, last)
	if err != nil {
		return wrap("copy", err)
	}
	var counted Copied
	err = s.write(ctx, "copy", "", func(ctx context.Context, tx *sql.Tx) error {
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
		return s.jobs.Insert(ctx, tx, jobs)
	})
	c.add(counted)
	return err
}

func (c *Copied) add(more Copied) {
	c.Found, c.Fresh, c.Known, c.NoInbox = c.Found+more.Found, c.Fresh+more.Fresh, c.Known+more.Known, c.NoInbox+more.NoInbox
	c.Steps, c.Attempts, c.Artifacts, c.Jobs = c.Steps+more.Steps, c.Attempts+more.Attempts, c.Artifacts+more.Artifacts, c.Jobs+more.Jobs
}

// insertCopies adds the events that are in the inbox here and not in the work store yet, and gives their ids.
func insertCopies(ctx context.Context, tx *sql.Tx, events []Event, c *Copied) (fresh map[string]bool, err error) {
	var ids, jobs, states, sources, origins, urls []string
	var received, bytes []int64
	var verified, rechecks []*int64
	var keys []*string
	for _, e := range events {
		ids, jobs, states = append(ids, string(e.ID)), append(jobs, e.Job), append(states, string(e.State))
		received, bytes = append(received, e.Received.UnixMicro()), append(bytes, e.Bytes)
		sources, origins, urls = append(sources, addressText(e.Source)), append(origins, string(e.Origin)), append(urls, e.ResultURL)
		verified, rechecks, keys = append(verified, micros(e.Verified)), append(rechecks, micros(e.Recheck)), append(keys, pointer(e.key))
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
	err = each(rows, func() error {
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

// micros is a time as it is stored, nil for none.
func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixMicro()
	return &n
}

func pointer(s sql.NullString) *string {
	if !s.Valid {
		return nil
	}
	return &s.String
}

// readTable reads the rows of the events from first to last.
func readTable(ctx context.Context, from querier, table, columns, first, last string) (list [][]any, err error) {
	rows, err := from.QueryContext(ctx, "SELECT "+columns+" FROM "+table+" WHERE event_id BETWEEN $1 AND $2", first, last)
	if err != nil {
		return nil, err
	}
	return scanRows(rows, columns)
}

// scanRows reads rows of these columns as they are.
func scanRows(rows *sql.Rows, columns string) (list [][]any, err error) {
	width := strings.Count(columns, ",") + 1
	err = each(rows, func() error {
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
	insert := insertion{into: table + " (" + columns + ")", columns: strings.Count(columns, ",") + 1}
	for _, row := range rows {
		if fresh[row[0].(string)] { //nolint:forcetypeassert // a TEXT column
			insert.add(row...)
			count++
		}
	}
	return count, insert.run(ctx, tx, nil)
}

// openJobs gives a job for every fresh step that is to be worked on, at its time. One that is parked gets its
// job when that is over.
func openJobs(steps [][]any, fresh map[string]bool) []queue.Job {
	columns := strings.Split(stepColumns, ", ")
	stateColumn, nextColumn, parkedColumn := slices.Index(columns, "state"), slices.Index(columns, "next_at"), slices.Index(columns, "parked_at")
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

// Verify counts how many events, steps, attempts and artifacts of the source are here. Of attempts and artifacts
// there may be more: work goes on.
func (s *Store) Verify(ctx context.Context, source *database.DB) (events int64, complete bool, err error) {
	complete = true
	var last event.ID
	for {
		batch, err := s.copyable(ctx, source, last)
		if err != nil || len(batch) == 0 {
			return events, complete, wrap("verify", err)
		}
		first := batch[0].ID
		last = batch[len(batch)-1].ID
		ids := make([]string, len(batch))
		for n, e := range batch {
			ids[n] = string(e.ID)
		}
		var here int64
		if err := s.database.Pool.QueryRow(ctx, "SELECT count(*) FROM events WHERE id = ANY ($1::text[])", ids).Scan(&here); err != nil {
			return events, false, wrap("verify", err)
		}
		events += here
		for _, table := range []string{"steps", "attempts", "artifacts"} {
			enough, err := s.hasAsMany(ctx, source, table, string(first), string(last), ids)
			if err != nil {
				return events, false, wrap("verify", err)
			}
			complete = complete && enough
		}
	}
}

// hasAsMany compares a table here with that of the source, for the events that are here.
func (s *Store) hasAsMany(ctx context.Context, source *database.DB, table, first, last string, ids []string) (bool, error) {
	rows, err := source.Reader.QueryContext(ctx,
		"SELECT event_id, count(*) FROM "+table+" WHERE event_id BETWEEN $1 AND $2 GROUP BY event_id", first, last) //nolint:gosec // a constant of the caller
	if err != nil {
		return false, err
	}
	there := map[string]int64{}
	if err := eachCount(rows, there); err != nil {
		return false, err
	}
	//nolint:gosec // table is a constant of the caller
	rows, err = s.database.Reader.QueryContext(ctx, "SELECT id, (SELECT count(*) FROM "+table+
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
	return each(rows, func() error {
		var id string
		var n int64
		err := rows.Scan(&id, &n)
		into[id] = n
		return err
	})
}
