// Package storetest opens an inbox, the stores of the work database and a queue for tests, over the databases of databasetest.
package storetest

import (
	"context"
	"errors"
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

//nolint:gochecknoglobals // the schemas are created once for all tests of a process
var template = databasetest.NewTemplate(migrate)

func migrate(ctx context.Context, stores databasetest.Stores) error {
	_, inboxErr := inbox.Migrate(ctx, stores.Inbox)
	_, workErr := schema.Migrate(ctx, stores.Work)
	_, queueErr := queue.Migrate(ctx, stores.Queue)
	return errors.Join(inboxErr, workErr, queueErr)
}

// Each runs test once for each kind of database, at a new place with the schemas of all stores.
func Each(t *testing.T, test func(t *testing.T, place *databasetest.Place)) {
	t.Helper()
	template.Each(t, test)
}

// NewPlace returns a new place with the schemas of all stores.
func NewPlace(t testing.TB, kind database.Kind) *databasetest.Place {
	t.Helper()
	return template.NewPlace(t, kind)
}

// Open opens the stores in a place, and migrates them if it has no schemas, with a queue for the jobs of each handler.
func Open(t testing.TB, place *databasetest.Place, handlers ...string) *Stores {
	t.Helper()
	s := &Stores{Databases: place.Open(t)}
	if !place.Migrated {
		if err := migrate(t.Context(), s.Databases); err != nil {
			t.Fatal(err)
		}
	}
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
