package history_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

const (
	planEvents = 20_000 // in Postgres, which reads small tables as a whole
	// planRows is the maximum number of rows that a query may read, whatever the size of the tables: maxLeading rows of two
	// indexes, with a margin.
	planRows = 5000
)

// query is a query that a store has run.
type query struct {
	text   string
	values []any
}

// recorder is a driver that passes queries to another pool and records them.
type recorder struct {
	pool  *sql.DB
	mutex sync.Mutex
	list  []query
}

func (r *recorder) Connect(context.Context) (driver.Conn, error) { return r, nil }
func (r *recorder) Driver() driver.Driver                        { return nil }
func (r *recorder) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }

func (r *recorder) Begin() (driver.Tx, error) { return nil, errors.ErrUnsupported }
func (r *recorder) Close() error              { return nil }

func (r *recorder) QueryContext(ctx context.Context, text string, values []driver.NamedValue) (driver.Rows, error) {
	recorded := query{text: text}
	for _, v := range values {
		recorded.values = append(recorded.values, v.Value)
	}
	r.mutex.Lock()
	r.list = append(r.list, recorded)
	r.mutex.Unlock()
	rows, err := r.pool.QueryContext(ctx, text, recorded.values...) //nolint:rowserrcheck // Next does
	return recordedRows{rows}, err
}

// take returns the queries since the last call.
func (r *recorder) take() []query {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	list := r.list
	r.list = nil
	return list
}

// recordedRows are the rows of the other pool.
type recordedRows struct{ rows *sql.Rows }

func (a recordedRows) Columns() []string {
	names, _ := a.rows.Columns()
	return names
}

func (a recordedRows) Close() error { return a.rows.Close() }

func (a recordedRows) Next(values []driver.Value) error {
	if !a.rows.Next() {
		if err := a.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	into := make([]any, len(values))
	for n := range values {
		into[n] = (*any)(&values[n])
	}
	return a.rows.Scan(into...)
}

// Every query of the lists and pages uses an index on both databases, for every filter. In Postgres, which reports it, a
// query reads a bounded number of rows. Only the count of all events reads all of them.
func TestQueriesUseAnIndex(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		db := workflowtest.Open(t, place).DB
		fillPlanned(t, db)
		if db.Kind == database.SQLite { // before there are statistics
			checkPlans(t, db)
		}
		analyze := "ANALYZE"
		if db.Kind == database.Postgres { // autovacuum does it in production
			analyze = "VACUUM ANALYZE"
		}
		if _, err := db.Writer.ExecContext(t.Context(), analyze); err != nil {
			t.Fatal(err)
		}
		checkPlans(t, place.Open(t).Work)
	})
}

func checkPlans(t *testing.T, db *database.DB) {
	t.Helper()
	r := &recorder{pool: db.Reader}
	recorded := &database.DB{Kind: db.Kind, Writer: db.Writer, Reader: sql.OpenDB(r), Pool: db.Pool}
	defer func() { _ = recorded.Reader.Close() }()
	s := workflowtest.New(t, recorded, nil)
	for name, run := range planned(s) {
		if err := run(t.Context()); err != nil {
			t.Errorf("%s: error = %v, want nil", name, err)
		}
		queries := r.take()
		if len(queries) == 0 {
			t.Errorf("%s: ran no query, want one", name)
		}
		for _, query := range queries {
			if fault := explain(t, db, query); fault != "" {
				t.Errorf("%s: %s, want an index\n%s %v", name, fault, query.text, query.values)
			}
		}
	}
}

// planned returns everything that runs queries for lists and pages, by name.
func planned(s *workflowtest.Stores) map[string]func(context.Context) error {
	all := map[string]func(context.Context) error{
		"event":        func(ctx context.Context) error { _, err := s.History.Load(ctx, planID(500)); return err },
		"job of one":   func(ctx context.Context) error { _, err := s.History.Event(ctx, planID(500)); return err },
		"step counts":  func(ctx context.Context) error { _, err := s.History.StepCounts(ctx); return err },
		"oldest":       func(ctx context.Context) error { _, err := s.History.Oldest(ctx); return err },
		"quarantine":   func(ctx context.Context) error { _, err := s.Workflow.Quarantined(ctx); return err },
		"change token": func(ctx context.Context) error { _, err := s.History.ChangeToken(ctx); return err },
		"targets":      func(ctx context.Context) error { _, err := s.Workflow.Targets(ctx); return err },
		"pending":      func(ctx context.Context) error { _, err := s.Workflow.Pending(ctx, "download", 300); return err },
		"unattended":   func(ctx context.Context) error { _, err := s.Workflow.Unattended(ctx, nil); return err },
		"rates": func(ctx context.Context) error {
			_, err := s.History.Rates(ctx, planTime(planEvents-1000), time.Minute)
			return err
		},
		"tracked jobs": func(ctx context.Context) error { _, err := s.Jobs.List(ctx, "", "", 50); return err },
		"lost jobs": func(ctx context.Context) error {
			_, err := s.Jobs.List(ctx, jobs.Lost, string(planID(planEvents)), 50)
			return err
		},
		"tracked job": func(ctx context.Context) error {
			_, err := s.Jobs.Find(ctx, string(planID(500)))
			if errors.Is(err, workflow.ErrNotFound) {
				err = nil
			}
			return err
		},
		"token of a job": func(ctx context.Context) error { _, _, err := s.Jobs.FindToken(ctx, jobs.TokenHash{1}); return err },
		"due":            func(ctx context.Context) error { _, err := s.Jobs.AcquireDue(ctx, time.Minute, 50); return err },
	}
	states := []event.Status{"", event.Done, event.Dead, event.Retrying, event.Pending, event.Running, event.Quarantined}
	filters := []history.Filter{
		{},
		{Handler: "download"},
		{Reason: event.ReasonExpired},
		{Handler: "download", Reason: event.ReasonExpired},
		{Handler: "forward", Reason: event.ReasonAuth},
		{Job: "job-500"},
		{Prefix: "job-"},
		{Prefix: "zzz"},
		{Prefix: string(planID(500))[:8]},
		{Handler: "download", Prefix: "job-"},
		{Handler: "download", Prefix: "job-12"},
		{Handler: "publish"},
		{Handler: "unknown"},
		{Handler: "publish", From: planTime(100), To: planTime(5000)},
		{From: planTime(100), To: planTime(200)},
		{To: planTime(5000)},
		{Handler: "download", To: planTime(5000)},
		{Reason: event.ReasonExpired, From: planTime(100), To: planTime(5000)},
		{Prefix: "job-1", From: planTime(100), To: planTime(5000)},
		{Prefix: "SKU-12"},
		{Prefix: "sku jpg"},
		{Prefix: "red"},
		{Prefix: "old"},
		{Prefix: "old", Handler: "download"},
		{Prefix: "ol sku", Handler: "publish"},
		{Prefix: "red 1", Reason: event.ReasonExpired},
		{Prefix: "red", From: planTime(100), To: planTime(5000)},
	}
	for _, f := range filters {
		for _, state := range states {
			f := f
			f.State = state
			all[fmt.Sprintf("list %+v", f)] = func(ctx context.Context) error { _, err := s.History.Find(ctx, f, "", 50); return err }
		}
		all[fmt.Sprintf("next page %+v", f)] = func(ctx context.Context) error { _, err := s.History.Find(ctx, f, planID(10_000), 50); return err }
		all[fmt.Sprintf("count %+v", f)] = func(ctx context.Context) error { _, err := s.History.CountDead(ctx, f, 1000); return err }
	}
	return all
}

func planTime(n int) time.Time {
	return time.UnixMilli(1_767_225_600_000).Add(time.Duration(n) * time.Second).UTC()
}

func planID(n int) event.ID {
	at := planTime(n).UnixMilli()
	return event.ID(fmt.Sprintf("%08x-%04x-7000-8000-%012d", at>>16, at&0xffff, n))
}

// fillPlanned adds events in all states. Most are done.
func fillPlanned(t *testing.T, db *database.DB) {
	t.Helper()
	tables := []*table{
		{name: "events", columns: "id, seq, job, received_at, bytes, state"},
		{name: "steps", columns: "event_id, handler, position, state, since, next_at, deferred_at, reason, changed_at"},
		{name: "attempts", columns: "event_id, handler, attempt, started_at, outcome"},
		{name: "artifacts", columns: "event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at"},
		{name: "tracked_jobs", columns: "id, job, origin, state, created_at, next_at, horizon_at"},
		{name: "event_words", columns: "event_id, word"},
	}
	count := planEvents
	if db.Kind == database.SQLite {
		count = planEvents / 10
	}
	for n := range count {
		fillOne(n, tables)
	}
	insertAll(t, db, tables...)
}

// insertAll inserts the rows of tables.
func insertAll(t *testing.T, db *database.DB, tables ...*table) {
	t.Helper()
	perStatement := 1000
	if db.Kind == database.SQLite {
		perStatement = 40 // its parser is quadratic in the number of parameters
	}
	tx, err := db.Writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, table := range tables {
		if err := table.insert(t.Context(), tx, perStatement); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func fillOne(n int, tables []*table) {
	id, job, at := string(planID(n)), fmt.Sprint("job-", n), planTime(n).UnixMicro()
	state, reason, waits, next, deferred := event.Done, event.Reason(""), jobs.Arrived, any(nil), any(nil)
	switch {
	case n%100 == 7:
		state, reason = event.Dead, event.ReasonExpired
	case n%300 == 11:
		state, reason, next, waits = event.Retrying, event.ReasonTimeout, at, jobs.Lost
		if n%600 == 11 {
			deferred = at
		}
	case n%700 == 13:
		state, reason = event.Quarantined, event.ReasonNotVerified
	case n%800 == 17:
		state, next, waits = event.Pending, at, jobs.Waiting
	case n%900 == 19:
		state = event.Running
	}
	second := event.Waiting
	if state == event.Done {
		second = event.Done
	}
	tables[0].add(id, n, job, at, 300, string(state))
	tables[1].add(id, "download", 0, string(state), at, next, deferred, string(reason), at)
	tables[1].add(id, "forward", 1, string(second), at, nil, nil, "", at)
	if n%500 == 7 { // a handler that few events have
		tables[1].add(id, "publish", 2, string(state), at, nil, nil, string(reason), at)
	}
	tables[2].add(id, "download", 1, at, string(state))
	tables[3].add(id, "download", 0, "", "k", "u", 1, "", "image/png", 10, 10, at)
	tables[4].add(id, job, "registered", string(waits), at, next, at)
	for _, word := range []string{"sku", "jpg", fmt.Sprint(n)} {
		tables[5].add(id, word)
	}
	switch {
	case n%5 == 0:
		tables[5].add(id, "red")
	case n < 2*planRows/3:
		tables[5].add(id, "old")
	}
}

// table collects rows and inserts them.
type table struct {
	name, columns string
	rows          [][]any
}

func (f *table) add(values ...any) { f.rows = append(f.rows, values) }

func (f *table) insert(ctx context.Context, tx *sql.Tx, perStatement int) error {
	width := strings.Count(f.columns, ",") + 1
	for first := 0; first < len(f.rows); first += perStatement {
		rows := f.rows[first:min(first+perStatement, len(f.rows))]
		var values []any
		for _, row := range rows {
			values = append(values, row...)
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO "+f.name+" ("+f.columns+") VALUES "+database.Values(len(rows), width), values...)
		if err != nil {
			return err
		}
	}
	return nil
}
