package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

var stages = [][]string{{"download"}}

const patience = 30 * time.Second

// stores are a real inbox and a real work store.
type stores struct {
	inbox    *inbox.Inbox
	work     *workflowtest.Stores
	database *database.DB
}

func open(t *testing.T, place *databasetest.Place) *stores {
	t.Helper()
	opened := place.Open(t)
	s := &stores{database: opened.Work}
	for _, migrate := range []func() (int64, error){
		func() (int64, error) { return inbox.Migrate(t.Context(), opened.Inbox) },
		func() (int64, error) { return schema.Migrate(t.Context(), opened.Work) },
		func() (int64, error) { return queue.Migrate(t.Context(), opened.Queue) },
	} {
		if _, err := migrate(); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.inbox, err = inbox.Open(t.Context(), opened.Inbox, inbox.Config{MaxBatch: 512, MaxBacklog: 1_000_000, MaxRejections: 1, MaxRejectionsBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.inbox.Close() })
	lanes := []queue.Lane{{Handler: "download", Concurrency: 1}}
	jobs, err := queue.Open(opened.Queue, queue.Config{Lease: time.Minute}, lanes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.work = workflowtest.New(t, opened.Work, jobs)
	return s
}

func (s *stores) accept(t *testing.T, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		_, err := s.inbox.Accept(t.Context(), event.Event{Job: fmt.Sprint("job-", n), Received: time.Now(), Body: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *stores) count(t *testing.T, query string) (n int) {
	t.Helper()
	if err := s.database.Reader.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func stop(t *testing.T, r *relay.Relay) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// eventually waits until is says so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatal("never came: " + what)
		}
	}
}

// forgetful is an inbox whose mark is lost so many times, as in a crash between the two stores.
type forgetful struct {
	*inbox.Inbox
	left atomic.Int64
}

func (f *forgetful) Relayed(ctx context.Context, sequences []int64) error {
	if f.left.Add(-1) >= 0 {
		return errors.New("the process died here")
	}
	return f.Inbox.Relayed(ctx, sequences)
}

func TestEveryEventOnceWhateverIsLostBetween(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.NewPlace(t, database.SQLite))
	s.accept(t, 0, 250)
	source := &forgetful{Inbox: s.inbox}
	source.left.Store(1)
	for range 3 { // three lives of the process
		r := relay.New(source, s.work.Workflow, stages, zerolog.Nop())
		r.Start()
		eventually(t, "something relayed", func() bool { return s.count(t, "SELECT count(*) FROM events") >= 200 })
		stop(t, r)
	}
	r := relay.New(source, s.work.Workflow, stages, zerolog.Nop())
	r.Start()
	s.accept(t, 250, 300)
	eventually(t, "an empty outbox", func() bool { return s.inbox.Backlog() == 0 })
	stop(t, r)
	for _, table := range []string{"events", "steps", "river_job"} {
		if n := s.count(t, "SELECT count(*) FROM "+table); n != 300 {
			t.Errorf("%d rows in %s, want 300", n, table)
		}
	}
}

// Replicas that relay at the same time carry every event once between them, also what was accepted by one that is gone.
func TestReplicasShareTheOutbox(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.Postgres)
	gone := open(t, place)
	gone.accept(t, 0, 700)
	replicas := []*stores{open(t, place), open(t, place), open(t, place)}
	for n, s := range replicas {
		r := relay.NewWithin(s.inbox, s.work.Workflow, stages, zerolog.Nop())
		r.Start()
		t.Cleanup(func() { stop(t, r) })
		s.accept(t, 1000*(n+1), 1000*(n+1)+100)
	}
	eventually(t, "an empty outbox", func() bool { return gone.count(t, "SELECT count(*) FROM outbox") == 0 })
	for _, table := range []string{"events", "steps", "river_job"} {
		if n := gone.count(t, "SELECT count(*) FROM "+table); n != 1000 {
			t.Errorf("%d rows in %s, want 1000", n, table)
		}
	}
}

// A claim whose transaction fails leaves the events where they were.
func TestFailedClaimIsUndone(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.NewPlace(t, database.Postgres))
	s.accept(t, 0, 3)
	failure := errors.New("the process died here")
	_, err := s.work.Workflow.Add(t.Context(), func(ctx context.Context, tx *sql.Tx) ([]workflow.InboxEntry, error) {
		entries, err := inbox.Claim(ctx, tx, 2)
		if err != nil || len(entries) != 2 {
			t.Errorf("claimed %d, error %v", len(entries), err)
		}
		return nil, failure
	}, stages)
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if entries, err := s.inbox.Unrelayed(t.Context(), 10); err != nil || len(entries) != 3 {
		t.Errorf("%d wait, error %v", len(entries), err)
	}
}

// A work store that is behind is not filled further; the rest waits in the inbox.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, backPressure)
}

func backPressure(t *testing.T, place *databasetest.Place) {
	carry := relay.New
	if place.Kind == database.Postgres {
		carry = relay.NewWithin
	}
	s := open(t, place)
	s.accept(t, 0, 1)
	for batch := range 12 { // fill the work store directly: 12 x 200 steps that nobody works on
		arrivals := make([]workflow.InboxEntry, 200)
		for n := range arrivals {
			arrivals[n] = workflow.InboxEntry{ID: event.ID(fmt.Sprintf("filler-%d-%d", batch, n)), Job: "filler"}
		}
		s.work.AddStages(t, stages, arrivals...)
	}
	source := &watched{Store: s.work.Workflow, looked: make(chan struct{}, 100)}
	r := carry(s.inbox, source, stages, zerolog.Nop())
	r.Start()
	for range 3 {
		<-source.looked
	}
	if s.inbox.Backlog() != 1 {
		t.Error("a full work store was filled further")
	}
	if unattended, err := s.work.Workflow.Unattended(t.Context(), []string{"forward"}); err != nil || unattended["download"] != 2400 {
		t.Errorf("unattended %v, error %v", unattended, err)
	}
	if _, err := s.database.Writer.ExecContext(t.Context(), "UPDATE steps SET state = 'done'"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an empty outbox", func() bool { return s.inbox.Backlog() == 0 })
	stop(t, r)
}

// watched is a work store that tells when it was asked how full it is.
type watched struct {
	*workflow.Store
	looked chan struct{}
}

func (w *watched) Pending(ctx context.Context, handler string, limit int) (int, error) {
	select {
	case w.looked <- struct{}{}:
	default:
	}
	return w.Store.Pending(ctx, handler, limit)
}
