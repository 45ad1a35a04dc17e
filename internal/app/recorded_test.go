package app_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// recordedTables are the tables of the recorded stores, with a query by the names after the migration.
var recordedTables = []struct {
	name, query string
	rows        int
}{
	{name: "callbacks", query: "SELECT id, job, digest, received_at, body FROM callbacks ORDER BY id", rows: 13},
	{name: "outbox", query: "SELECT seq FROM outbox ORDER BY seq", rows: 1},
	{name: "rejections", query: "SELECT seq, received_at, code, detail, body FROM rejections ORDER BY seq", rows: 2},
	{
		name:  "events",
		query: "SELECT id, seq, job, received_at, bytes, state, source, origin, result_url, verified_at, recheck_at, result_key FROM events ORDER BY id", rows: 12,
	},
	{
		name:  "steps",
		query: "SELECT event_id, handler, position, state, attempt, tries, since, next_at, deferred_at, reason, detail, changed_at FROM steps ORDER BY event_id, handler",
		rows:  48,
	},
	{
		name:  "attempts",
		query: "SELECT event_id, handler, attempt, started_at, finished_at, outcome, reason, detail FROM attempts ORDER BY event_id, handler, attempt", rows: 29,
	},
	{
		name: "artifacts",
		query: `SELECT event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at
			FROM artifacts ORDER BY event_id, handler, position`, rows: 16,
	},
	{name: "targets", query: "SELECT name, disabled_at, reason, detail FROM targets ORDER BY name", rows: 1},
	{
		name: "tracked jobs",
		query: `SELECT id, job, token_hash, token_digest, origin, state, created_at, next_at, horizon_at, polls, event_id, detail, resolved_at
			FROM tracked_jobs ORDER BY id`,
		rows: 8,
	},
	{
		name:  "bulk replays",
		query: "SELECT id, slot, filter, cursor, events, steps, begun_at, finished_at, failed FROM bulk_replays ORDER BY id",
		rows:  1,
	},
}

// Stores that the release before the migration 00010 has written keep every row, and their open work is continued. The
// recorded process was killed: inbox.db has everything in its write-ahead log, and one callback was accepted
// and not relayed.
func TestRecordedStoresKeepEverything(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		restoreRecorded(t, place)
		c := configuration(t, place)
		c.Handlers = nil
		for _, name := range []string{"download", "forward-crm", "forward-old"} {
			c.Handlers = append(c.Handlers, config.Handler{
				Definition: handler.Define(name, func(context.Context, idleConfig, handler.Deps) (idle, error) { return idle{}, nil }),
				Config:     &idleConfig{},
			})
		}
		before := readRecorded(t, place, false)
		if _, err := app.Migrate(t.Context(), c, false); err != nil {
			t.Fatal(err)
		}
		after := readRecorded(t, place, true)
		for _, table := range recordedTables {
			if n := len(before[table.name]); n != table.rows {
				t.Errorf("%s before the migration: %d rows, want %d", table.name, n, table.rows)
			}
			if diff := cmp.Diff(before[table.name], after[table.name]); diff != "" {
				t.Errorf("%s changed (-want +got):\n%s", table.name, diff)
			}
		}
		r := start(t, c)
		checkRecordedJobs(t, r)
		checkRecordedBodies(t, place, r, before["callbacks"])
		if _, err := r.Stores().Workflow.Enable(t.Context(), "forward-old"); err != nil {
			t.Fatal(err)
		}
		checkRecordedEvents(t, r)
	})
}

// checkRecordedJobs looks for the tracked jobs, and for the bulk replay.
func checkRecordedJobs(t *testing.T, r *receiver) {
	t.Helper()
	counts, err := r.Stores().Jobs.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[jobs.State]int64{jobs.Arrived: 2, jobs.Reconciled: 1, jobs.Failed: 1, jobs.Lost: 2, jobs.Waiting: 2}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("tracked jobs (-want +got):\n%s", diff)
	}
	bulk, err := r.Stores().BulkReplays.Latest(t.Context())
	if err != nil || bulk.Filter.State != event.Dead || bulk.Events != 1 || bulk.Finished.IsZero() {
		t.Errorf("latest bulk replay = %+v, error %v; want a finished one of 1 dead event", bulk, err)
	}
}

// checkRecordedBodies compares the body of every event with what the recorded inbox holds for its id, as soon as it is relayed.
func checkRecordedBodies(t *testing.T, place *databasetest.Place, r *receiver, callbacks [][]any) {
	t.Helper()
	opened, err := inbox.Open(t.Context(), place.Open(t).Inbox, inbox.Config{MaxBatch: 1, MaxBacklog: 1, MaxRejections: 1, MaxRejectionsBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	for _, row := range callbacks {
		id, job, want := event.ID(fmt.Sprint(row[0])), fmt.Sprint(row[1]), fmt.Sprint(row[4])
		if got, err := opened.Body(t.Context(), job, id); err != nil || string(got) != want {
			t.Errorf("body of %s = %q, error %v; want %q", id, got, err, want)
		}
		testkit.WaitFor(t, "an event in the work store", func() (history.Details, error) {
			return r.Stores().History.Load(t.Context(), id)
		}, func(d history.Details) bool { return d.Event.Job == job })
	}
}

// checkRecordedEvents waits until the 5 events with deferred steps and the accepted callback are done, beside the 2 that were. What is
// dead or quarantined stays so. Two events are retried an hour after the recording, so they may be done or not.
func checkRecordedEvents(t *testing.T, r *receiver) {
	t.Helper()
	counts := testkit.WaitFor(t, "8 events that are done", func() (map[event.Status]int64, error) {
		return r.Stores().History.Counts(t.Context())
	}, func(counts map[event.Status]int64) bool {
		return counts[event.Done]+counts[event.Retrying] == 10 && counts[event.Done] >= 8
	})
	if counts[event.Dead] != 1 || counts[event.Quarantined] != 2 {
		t.Errorf("counts = %v, want 1 dead and 2 quarantined", counts)
	}
	testkit.WaitFor(t, "no disabled target and no deferred step", func() ([]workflow.Target, error) {
		return r.Stores().Workflow.Targets(t.Context())
	}, func(targets []workflow.Target) bool { return len(targets) == 0 })
}

// readRecorded reads all rows of the recorded tables, by their names before or after the migration.
func readRecorded(t *testing.T, place *databasetest.Place, migrated bool) map[string][][]any {
	t.Helper()
	stores := place.Open(t)
	defer func() {
		if err := stores.Close(); err != nil {
			t.Error(err)
		}
	}()
	names, err := os.ReadFile(filepath.Join("testdata", "recorded", "names.txt")) // pairs of a name and the former name
	if err != nil {
		t.Fatal(err)
	}
	former := strings.NewReplacer(strings.Fields(string(names))...)
	tables := map[string][][]any{}
	for n, table := range recordedTables {
		db, query := stores.Work, table.query
		if n < 3 { // of the inbox
			db = stores.Inbox
		}
		if !migrated {
			query = former.Replace(query)
		}
		tables[table.name] = readRows(t, db.Reader, query)
	}
	return tables
}

func readRows(t *testing.T, db *sql.DB, query string) (list [][]any) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for n := range row {
			into[n] = &row[n]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for n := range row {
			if text, ok := row[n].([]byte); ok {
				row[n] = string(text)
			}
		}
		list = append(list, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// restoreRecorded puts the recorded stores into a place.
func restoreRecorded(t *testing.T, place *databasetest.Place) {
	t.Helper()
	name := "sqlite.tar.gz"
	if place.Kind == database.Postgres {
		name = "postgres.sql.gz"
	}
	file, err := os.Open(filepath.Join("testdata", "recorded", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	content, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	if place.Kind == database.Postgres {
		restoreDump(t, place, content)
		return
	}
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err == nil {
			err = os.WriteFile(filepath.Join(place.Folder, filepath.Base(header.Name)), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// restoreDump runs the statements of a dump, without the commands of psql.
func restoreDump(t *testing.T, place *databasetest.Place, content io.Reader) {
	t.Helper()
	dump, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	var statements strings.Builder
	for line := range strings.Lines(string(dump)) {
		if !strings.HasPrefix(line, `\`) {
			statements.WriteString(line)
		}
	}
	connection, err := pgx.Connect(t.Context(), place.Config.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.WithoutCancel(t.Context())) }()
	if _, err := connection.PgConn().Exec(t.Context(), statements.String()).ReadAll(); err != nil {
		t.Fatal(err)
	}
}
