// Package storetest opens an inbox, the stores of the work database and a queue for tests, over the databases of databasetest.
package storetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// Stores are the stores of one receiver. They are closed at the end of the test.
type Stores struct {
	*workflowtest.Stores

	Inbox     *inbox.Inbox
	Queue     *queue.Queue // not started
	Databases databasetest.Stores
}

// Open migrates and opens the stores in a place, with a queue for the jobs of each handler.
func Open(t testing.TB, place *databasetest.Place, handlers ...string) *Stores {
	t.Helper()
	s := &Stores{Databases: place.Open(t)}
	migrate(t, inbox.Migrate, s.Databases.Inbox)
	migrate(t, schema.Migrate, s.Databases.Work)
	migrate(t, queue.Migrate, s.Databases.Queue)
	config := inbox.Config{MaxBatch: 512, MaxBacklog: 1_000_000, MaxRejections: 100, MaxRejectionsBytes: 1 << 20}
	var err error
	if s.Inbox, err = inbox.Open(t.Context(), s.Databases.Inbox, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Inbox.Close() })
	var queues []queue.HandlerQueue
	for _, name := range handlers {
		queues = append(queues, queue.HandlerQueue{Handler: name, Concurrency: 4})
	}
	if s.Queue, err = queue.Open(s.Databases.Queue, queue.Config{Lease: time.Minute}, queues, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s.Stores = workflowtest.New(t, s.Databases.Work, s.Queue)
	return s
}

func migrate(t testing.TB, do func(context.Context, *database.DB) (int64, error), db *database.DB) {
	t.Helper()
	if _, err := do(t.Context(), db); err != nil {
		t.Fatal(err)
	}
}

// Exec runs a statement in the work store's database.
func (s *Stores) Exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := s.DB.Writer.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// Count returns the number that a query of the work store's database returns.
func (s *Stores) Count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := s.DB.Reader.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
