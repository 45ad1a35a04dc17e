package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

var stages = [][]string{{"download"}}

// accept stores an event for each number from first to end-1.
func accept(t *testing.T, s *storetest.Stores, first, end int) {
	t.Helper()
	for n := first; n < end; n++ {
		_, err := s.Inbox.Accept(t.Context(), event.Event{Job: fmt.Sprint("job-", n), Received: time.Now(), Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// start starts a relay between the stores, with another inbox if from is not nil. It stops at the end of the test at the latest.
func start(t *testing.T, place *databasetest.Place, s *storetest.Stores, from relay.Inbox) (passed <-chan struct{}, stop func()) {
	t.Helper()
	if from == nil {
		from = s.Inbox
	}
	r := relay.New(relay.Config{Inbox: from, Workflow: s.Workflow, OneDatabase: place.Kind == database.Postgres, Stages: stages, Log: zerolog.Nop()})
	passed = r.Passed.Listen()
	r.Start()
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return passed, stop
}

func wantRows(t *testing.T, s *storetest.Stores, want int) {
	t.Helper()
	for _, table := range []string{"events", "steps", "river_job"} {
		if got := s.Count(t, "SELECT count(*) FROM "+table); got != want {
			t.Errorf("rows in %s = %d, want %d", table, got, want)
		}
	}
}

// failingInbox fails to mark events as relayed a few times, as in a crash between the two stores.
type failingInbox struct {
	*inbox.Inbox
	failures atomic.Int64 // that are left
}

func (f *failingInbox) Relayed(ctx context.Context, sequences []int64) error {
	if f.failures.Add(-1) >= 0 {
		return errors.New("the process died here")
	}
	return f.Inbox.Relayed(ctx, sequences)
}

func TestCrashBetweenTheStores(t *testing.T) {
	t.Parallel()
	place := storetest.NewPlace(t, database.SQLite)
	s := storetest.Open(t, place, "download")
	accept(t, s, 0, 250)
	from := &failingInbox{Inbox: s.Inbox}
	from.failures.Store(1)
	for range 3 { // as many lives of the process
		_, stop := start(t, place, s, from)
		testkit.WaitFor(t, "at least 200 events", func() (int, error) { return s.Count(t, "SELECT count(*) FROM events"), nil }, func(n int) bool { return n >= 200 })
		stop()
	}
	start(t, place, s, from)
	accept(t, s, 250, 300)
	testkit.Eventually(t, "backlog", 0, s.Inbox.Backlog)
	wantRows(t, s, 300)
}

// TestReplicasShareTheOutbox runs relays at the same time. Events of a replica that is gone are carried too.
func TestReplicasShareTheOutbox(t *testing.T) {
	t.Parallel()
	place := storetest.NewPlace(t, database.Postgres)
	gone := storetest.Open(t, place, "download")
	accept(t, gone, 0, 700)
	replicas := []*storetest.Stores{storetest.Open(t, place, "download"), storetest.Open(t, place, "download"), storetest.Open(t, place, "download")}
	for n, s := range replicas {
		start(t, place, s, nil)
		accept(t, s, 1000*(n+1), 1000*(n+1)+100)
	}
	testkit.Eventually(t, "rows in outbox", 0, func() int { return gone.Count(t, "SELECT count(*) FROM outbox") })
	wantRows(t, gone, 1000)
}

// TestFailedTransaction rolls a claim back: its events stay in the inbox.
func TestFailedTransaction(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, storetest.NewPlace(t, database.Postgres), "download")
	accept(t, s, 0, 3)
	failure := errors.New("the process died here")
	_, err := s.Workflow.Add(t.Context(), func(ctx context.Context, tx *sql.Tx) ([]event.Entry, error) {
		entries, err := inbox.Claim(ctx, tx, 2)
		if err != nil || len(entries) != 2 {
			t.Errorf("Claim = %d entries, error %v; want 2, nil", len(entries), err)
		}
		return nil, failure
	}, stages)
	if !errors.Is(err, failure) {
		t.Errorf("AddFrom = %v, want %v", err, failure)
	}
	if entries, err := s.Inbox.Unrelayed(t.Context(), 10); err != nil || len(entries) != 3 {
		t.Errorf("Unrelayed = %d entries, error %v; want 3, nil", len(entries), err)
	}
}

// TestBackPressure fills the work store: further events wait in the inbox until steps are done.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := storetest.Open(t, place, "download")
		accept(t, s, 0, 1)
		for batch := range 12 { // 12 x 200 steps; the limit is 2000
			entries := make([]event.Entry, 200)
			for n := range entries {
				entries[n] = event.Entry{ID: event.ID(fmt.Sprintf("filler-%d-%d", batch, n)), Job: "filler"}
			}
			s.AddStages(t, stages, entries...)
		}
		passed, _ := start(t, place, s, nil)
		for range 3 {
			testkit.Receive(t, "a pass of the relay", passed)
		}
		if got := s.Inbox.Backlog(); got != 1 {
			t.Errorf("backlog with a full work store = %d, want 1", got)
		}
		unattended, err := s.Workflow.Unattended(t.Context(), []string{"forward"})
		if diff := cmp.Diff(map[string]int{"download": 2400}, unattended); err != nil || diff != "" {
			t.Errorf("Unattended: error %v (-want +got):\n%s", err, diff)
		}
		s.Exec(t, "UPDATE steps SET state = 'done'")
		testkit.Eventually(t, "backlog", 0, s.Inbox.Backlog)
	})
}
