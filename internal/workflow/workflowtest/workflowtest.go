// Package workflowtest opens the stores of the work database for tests and brings events into states.
package workflowtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// Stores are the stores of one work database, over one writer.
type Stores struct {
	DB       *database.DB
	Writer   *database.Writer
	Workflow *workflow.Store
	History  *history.Store
	Jobs     *jobs.Store
}

//nolint:gochecknoglobals // the schemas are created once for all tests of a process
var template = databasetest.NewTemplate(migrate)

func migrate(ctx context.Context, stores databasetest.Stores) error {
	_, workErr := schema.Migrate(ctx, stores.Work)
	_, queueErr := queue.Migrate(ctx, stores.Queue)
	return errors.Join(workErr, queueErr)
}

// Each runs test once for each kind of database, at a new place with the schemas of the work database.
func Each(t *testing.T, test func(t *testing.T, place *databasetest.Place)) {
	t.Helper()
	template.Each(t, test)
}

// NewPlace returns a new place with the schemas of the work database.
func NewPlace(t testing.TB, kind database.Kind) *databasetest.Place {
	t.Helper()
	return template.NewPlace(t, kind)
}

// Open returns the stores of a work database, which it migrates if its place has no schemas. The handlers of its queue are download
// and forward.
func Open(t testing.TB, place *databasetest.Place) *Stores {
	t.Helper()
	opened := place.Open(t)
	if !place.Migrated {
		if err := migrate(t.Context(), opened); err != nil {
			t.Fatal(err)
		}
	}
	lanes := []queue.HandlerQueue{{Handler: "download", Concurrency: 1}, {Handler: "forward", Concurrency: 1}}
	q, err := queue.Open(opened.Queue, queue.Config{Lease: time.Minute}, lanes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return New(t, opened.Work, q)
}

// New returns the stores of a migrated work database.
func New(t testing.TB, db *database.DB, q workflow.Queue) *Stores {
	t.Helper()
	writer := database.NewWriter(db)
	t.Cleanup(func() { _ = writer.Close() })
	tracked := jobs.New(writer)
	return &Stores{DB: db, Writer: writer, Workflow: workflow.New(writer, q, tracked.OnAdd), History: history.New(writer), Jobs: tracked}
}

// Entry returns event n: event-00n of the job job-n.
func Entry(n int) event.Entry {
	return event.Entry{
		Sequence: int64(n), ID: event.ID(fmt.Sprintf("event-%03d", n)), Job: fmt.Sprint("job-", n),
		Received: time.UnixMicro(1_700_000_000_000_000).UTC(), Bytes: 10,
	}
}

// Take returns entries, as the relay takes them from the inbox.
func Take(entries ...event.Entry) func(context.Context, *sql.Tx) ([]event.Entry, error) {
	return func(context.Context, *sql.Tx) ([]event.Entry, error) { return entries, nil }
}

// Add adds entries with a step for download and, after it, one for forward.
func (s *Stores) Add(t testing.TB, entries ...event.Entry) {
	t.Helper()
	s.AddStages(t, [][]string{{"download"}, {"forward"}}, entries...)
}

// AddStages adds entries with these stages.
func (s *Stores) AddStages(t testing.TB, stages [][]string, entries ...event.Entry) {
	t.Helper()
	if _, err := s.Workflow.Add(t.Context(), Take(entries...), stages); err != nil {
		t.Fatal(err)
	}
}

// Begin begins an attempt of a step of event n.
func (s *Stores) Begin(t testing.TB, n int, handler string) workflow.Attempt {
	t.Helper()
	attempt, err := s.Workflow.Begin(t.Context(), queue.Job{Event: Entry(n).ID, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	return attempt
}

// Finish records the result of an attempt.
func (s *Stores) Finish(t testing.TB, a workflow.Attempt, r workflow.Result) {
	t.Helper()
	if _, err := s.Workflow.Finish(t.Context(), a, r); err != nil {
		t.Fatal(err)
	}
}

// Load returns all that is known of an event.
func (s *Stores) Load(t testing.TB, id event.ID) history.Details {
	t.Helper()
	details, err := s.History.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return details
}
