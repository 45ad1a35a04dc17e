package inbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/groupcommit"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

// defaults are the bounds that tests use where they do not matter.
func defaults() inbox.Config {
	return inbox.Config{MaxBatch: 512, MaxBacklog: 1_000_000, MaxRejections: 100, MaxRejectionsBytes: 1 << 20}
}

// store is an inbox with what is below it, so that a test can stop it and start it again.
type store struct {
	*inbox.Inbox
	stores databasetest.Stores
	place  *databasetest.Place
}

func open(t testing.TB, place *databasetest.Place, config inbox.Config) *store {
	t.Helper()
	stores := place.Open(t)
	if _, err := inbox.Migrate(t.Context(), stores.Inbox); err != nil {
		t.Fatal(err)
	}
	opened, err := inbox.Open(t.Context(), stores.Inbox, config)
	if err != nil {
		t.Fatal(err)
	}
	s := &store{Inbox: opened, stores: stores, place: place}
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *store) stop(t testing.TB) {
	t.Helper()
	if s.Inbox == nil {
		return
	}
	if err := errors.Join(s.Close(), s.stores.Close()); err != nil {
		t.Error(err)
	}
	s.Inbox = nil
}

// backlogIs waits until the backlog is n: in Postgres it is counted once a second.
func (s *store) backlogIs(t *testing.T, n int64) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(10 * time.Second)
	for s.Backlog() != n {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("backlog is %d, want %d", s.Backlog(), n)
		}
	}
}

func sample(job, result string) event.Event {
	body := fmt.Appendf(nil, `{"job":%q,"result_url":%q}`, job, result)
	return event.Event{Job: job, Digest: sha256.Sum256([]byte(result)), Received: time.Now(), ResultURL: result, Body: body}
}

func accept(t testing.TB, s *store, e event.Event) event.Receipt {
	t.Helper()
	receipt, err := s.Accept(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func TestAcceptIsUniqueForEver(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		first := accept(t, s, sample("job-1", "https://a/1.png"))
		rows := []struct {
			name      string
			event     event.Event
			duplicate bool
		}{
			{"the same again", sample("job-1", "https://a/1.png"), true},
			{"same job, new result", sample("job-1", "https://a/2.png"), false},
			{"other job, same result", sample("job-2", "https://a/1.png"), false},
		}
		for _, row := range rows {
			receipt := accept(t, s, row.event)
			if receipt.Duplicate != row.duplicate || (receipt.ID == first.ID) != row.duplicate {
				t.Errorf("%s: got %+v, first was %s", row.name, receipt, first.ID)
			}
		}
		s.stop(t)
		if again := accept(t, open(t, place, defaults()), sample("job-1", "https://a/1.png")); again.ID != first.ID || !again.Duplicate {
			t.Errorf("after a restart: got %+v, first was %s", again, first.ID)
		}
	})
}

func TestAcceptConcurrently(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		const jobs, repeats = 40, 25
		receipts := make([][repeats]event.Receipt, jobs)
		var group sync.WaitGroup
		for job := range jobs {
			for repeat := range repeats {
				group.Go(func() {
					receipt, err := s.Accept(context.Background(), sample(fmt.Sprint("job-", job), "https://a/1.png"))
					if err != nil {
						t.Error(err)
					}
					receipts[job][repeat] = receipt
				})
			}
		}
		group.Wait()
		for job, list := range receipts {
			fresh := 0
			for _, receipt := range list {
				if receipt.ID != list[0].ID {
					t.Errorf("job %d has two ids: %s and %s", job, receipt.ID, list[0].ID)
				}
				if !receipt.Duplicate {
					fresh++
				}
			}
			if fresh != 1 {
				t.Errorf("job %d was accepted as new %d times", job, fresh)
			}
		}
		s.backlogIs(t, jobs)
	})
}

func TestRelayedLeavesTheOutboxOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		want := map[event.ID]string{}
		for n := range 10 {
			e := sample(fmt.Sprint("job-", n), "https://a/1.png")
			want[accept(t, s, e).ID] = string(e.Body)
		}
		<-s.Waiting()
		entries, err := s.Unrelayed(t.Context(), 100)
		if err != nil || len(entries) != 10 {
			t.Fatalf("got %d entries, error %v", len(entries), err)
		}
		for _, e := range entries {
			body, err := s.Body(t.Context(), e.Job, e.ID)
			if err != nil || string(body) != want[e.ID] || e.Bytes != int64(len(body)) {
				t.Errorf("entry %+v has body %q, error %v", e, body, err)
			}
		}
		sequences := []int64{entries[0].Sequence, entries[1].Sequence}
		for range 2 { // saying it twice counts once
			if err := s.Relayed(t.Context(), sequences); err != nil {
				t.Fatal(err)
			}
		}
		s.backlogIs(t, 8)
		s.stop(t)
		s = open(t, place, defaults())
		rest, err := s.Unrelayed(t.Context(), 3)
		if err != nil || len(rest) != 3 || rest[0].ID != entries[2].ID || s.Backlog() != 8 {
			t.Errorf("after a restart: %d entries, backlog %d, error %v", len(rest), s.Backlog(), err)
		}
	})
}

func TestCancelledRequest(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Accept(ctx, sample("job-1", "https://a/1.png")); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before it was queued: error = %v, want %v", err, context.Canceled)
		}
		s.backlogIs(t, 0)
	})
}

func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		config := defaults()
		config.MaxBacklog = 2
		s := open(t, place, config)
		accept(t, s, sample("job-1", "https://a/1.png"))
		accept(t, s, sample("job-2", "https://a/1.png"))
		if _, err := s.Accept(t.Context(), sample("job-3", "https://a/1.png")); !errors.Is(err, event.ErrBacklogFull) {
			t.Errorf("over the bound: error = %v, want %v", err, event.ErrBacklogFull)
		}
		entries, _ := s.Unrelayed(t.Context(), 1)
		if err := s.Relayed(t.Context(), []int64{entries[0].Sequence}); err != nil {
			t.Fatal(err)
		}
		s.backlogIs(t, 1)
		accept(t, s, sample("job-3", "https://a/1.png"))
	})
}

func TestRejectionsAreBoundedAndCounted(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		config := defaults()
		config.MaxRejections, config.MaxRejectionsBytes = 3, 1000
		rows := []struct {
			name  string
			sizes []int
			kept  []int // newest first
		}{
			{"few", []int{10, 20}, []int{20, 10}},
			{"too many", []int{1, 2, 3, 4, 5}, []int{5, 4, 3}},
			{"too many bytes", []int{600, 300, 200}, []int{200, 300}},
			{"one alone too large", []int{5000}, []int{1000}},
			{"empty", []int{0}, []int{0}},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				place := databasetest.NewPlace(t, place.Kind)
				s := open(t, place, config)
				for _, size := range row.sizes {
					rejection := event.Rejection{Received: time.Now(), Code: event.RejectedMalformed, Detail: "no", Body: bytes.Repeat([]byte{0xff}, size)}
					if err := s.Reject(t.Context(), rejection); err != nil {
						t.Fatal(err)
					}
					s.stop(t) // the bounds hold over restarts
					s = open(t, place, config)
				}
				kept, err := s.Rejections(t.Context(), 100)
				if err != nil || len(kept) != len(row.kept) {
					t.Fatalf("kept %d, want %d; error %v", len(kept), len(row.kept), err)
				}
				for i, size := range row.kept {
					if !bytes.Equal(kept[i].Body, bytes.Repeat([]byte{0xff}, size)) || kept[i].Code != event.RejectedMalformed {
						t.Errorf("rejection %d is %d bytes of code %s, want %d", i, len(kept[i].Body), kept[i].Code, size)
					}
				}
				if ever, err := s.Rejected(t.Context()); err != nil || ever != int64(len(row.sizes)) {
					t.Errorf("%d were rejected, want %d, error %v", ever, len(row.sizes), err)
				}
				if stats, err := s.Stats(t.Context()); err != nil || stats.RejectedEver != int64(len(row.sizes)) || stats.RejectedKept != int64(len(row.kept)) {
					t.Errorf("statistics are %+v, error %v", stats, err)
				}
			})
		}
	})
}

func TestClosedInboxRefuses(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Accept(t.Context(), sample("job-1", "https://a/1.png")); !errors.Is(err, groupcommit.ErrClosed) {
			t.Errorf("error = %v, want %v", err, groupcommit.ErrClosed)
		}
		if err := s.Probe(t.Context()); !errors.Is(err, groupcommit.ErrClosed) {
			t.Errorf("error = %v, want %v", err, groupcommit.ErrClosed)
		}
	})
}

// A full disk answers "unavailable", keeps what was stored, and recovers by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.NewPlace(t, database.SQLite), defaults())
	kept := accept(t, s, sample("job-1", "https://a/1.png"))
	limitPages(t, s, 1)
	big := sample("job-2", "https://a/1.png")
	big.Body = bytes.Repeat([]byte("x"), 1<<20)
	if _, err := s.Accept(t.Context(), big); !database.IsFull(err) {
		t.Errorf("on a full disk: %v", err)
	}
	if s.Backlog() != 1 {
		t.Errorf("backlog is %d, want 1", s.Backlog())
	}
	limitPages(t, s, 1<<30)
	if receipt := accept(t, s, big); receipt.Duplicate {
		t.Error("what was refused counts as stored")
	}
	if again := accept(t, s, sample("job-1", "https://a/1.png")); again.ID != kept.ID {
		t.Error("what was stored before was lost")
	}
}

func limitPages(t *testing.T, s *store, pages int) {
	t.Helper()
	if err := s.LimitPages(t.Context(), fmt.Sprint(pages)); err != nil {
		t.Fatal(err)
	}
}

// A store that hangs makes senders give up. What nobody has begun to write by then
// is let go: it is not stored later, and its memory does not stay in the queue.
func TestGivenUpIsNotStored(t *testing.T) {
	t.Parallel()
	config := defaults()
	config.MaxBatch = 1
	s := open(t, databasetest.NewPlace(t, database.SQLite), config)
	release := s.hang(t)
	var group sync.WaitGroup
	for n := range 3 { // one of them is being written, the others wait
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := s.Accept(ctx, sample(fmt.Sprint("job-", n), "https://a/1.png")); !errors.Is(err, groupcommit.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("while the store hangs: error = %v, want %v", err, groupcommit.ErrTimeout)
			}
		})
	}
	group.Wait()
	release()
	accept(t, s, sample("job-9", "https://a/1.png"))
	if backlog := s.Backlog(); backlog > 2 {
		t.Errorf("%d events are stored, though only two can have been begun", backlog)
	}
}

// hang holds the write lock of the file, as another process could, until release.
func (s *store) hang(t *testing.T) (release func()) {
	t.Helper()
	other, err := database.OpenSQLite(t.Context(), filepath.Join(s.place.Folder, "inbox.db"))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := other.Writer.BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(tx.Rollback(), other.Close()); err != nil {
			t.Error(err)
		}
	}
}

// Replicas that accept the same events at the same moment agree on the first id of each.
func TestReplicasAgreeOnTheFirst(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.Postgres)
	replicas := []*store{open(t, place, defaults()), open(t, place, defaults()), open(t, place, defaults())}
	const jobs, repeats = 60, 5
	ids := make([][]event.Receipt, jobs)
	var mutex sync.Mutex
	var group sync.WaitGroup
	for n, replica := range replicas {
		for repeat := range repeats {
			group.Go(func() {
				for job := range jobs { // not in the same order everywhere
					number := (job*7 + n*13 + repeat*29) % jobs
					receipt, err := replica.Accept(context.Background(), sample(fmt.Sprint("job-", number), "https://a/1.png"))
					if err != nil {
						t.Error(err)
					}
					mutex.Lock()
					ids[number] = append(ids[number], receipt)
					mutex.Unlock()
				}
			})
		}
	}
	group.Wait()
	for job, list := range ids {
		fresh := 0
		for _, receipt := range list {
			if receipt.ID != list[0].ID {
				t.Errorf("job %d has two ids: %s and %s", job, receipt.ID, list[0].ID)
			}
			if !receipt.Duplicate {
				fresh++
			}
		}
		if fresh != 1 {
			t.Errorf("job %d was accepted as new %d times", job, fresh)
		}
	}
	replicas[0].backlogIs(t, jobs)
}

// A database that takes no writes, as a standby does, answers "unavailable" and recovers by itself.
func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.NewPlace(t, database.Postgres), defaults())
	kept := accept(t, s, sample("job-1", "https://a/1.png"))
	readOnly := func(on string) {
		if _, err := s.stores.Work.Pool.Exec(t.Context(), "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = "+on+"', current_database()); END $$"); err != nil {
			t.Fatal(err)
		}
		s.stores.Inbox.Pool.Reset() // the setting is for new connections
	}
	readOnly("on")
	_, err := s.Accept(t.Context(), sample("job-2", "https://a/1.png"))
	if !database.IsFull(err) {
		t.Errorf("got %v", err)
	}
	if err := s.Probe(t.Context()); err == nil {
		t.Errorf("readiness: %v", err)
	}
	readOnly("off")
	if receipt := accept(t, s, sample("job-2", "https://a/1.png")); receipt.Duplicate {
		t.Error("what was refused counts as stored")
	}
	if again := accept(t, s, sample("job-1", "https://a/1.png")); again.ID != kept.ID {
		t.Error("what was stored before was lost")
	}
}

// Connections that the server ends are made anew.
func TestConnectionsThatDrop(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.NewPlace(t, database.Postgres), defaults())
	for n := range 5 {
		accept(t, s, sample(fmt.Sprint("job-", n), "https://a/1.png"))
		_, err := s.stores.Work.Pool.Exec(t.Context(),
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := s.Accept(t.Context(), sample(fmt.Sprint("after-", n), "https://a/1.png")); err == nil {
				break
			}
		}
	}
	s.backlogIs(t, 10)
}

// F8: readiness is what accepting is. A store that takes the row of a probe and no events is not ready.
func TestProbeFailsWhileEventsAreRefused(t *testing.T) {
	t.Parallel()
	refuse := map[database.Kind][]string{
		database.SQLite: {"CREATE TRIGGER refuse BEFORE INSERT ON callbacks BEGIN SELECT RAISE(ABORT, 'no room'); END"},
		database.Postgres: {
			"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$",
			"CREATE TRIGGER refuse BEFORE INSERT ON callbacks FOR EACH ROW EXECUTE FUNCTION refuse()",
		},
	}
	allow := map[database.Kind]string{database.SQLite: "DROP TRIGGER refuse", database.Postgres: "DROP TRIGGER refuse ON callbacks"}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		execute := func(statement string) {
			t.Helper()
			other := place.Open(t)
			defer func() { _ = other.Close() }()
			if _, err := other.Inbox.Writer.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Probe(t.Context()); err != nil {
			t.Errorf("at first: error = %v, want none", err)
		}
		for _, statement := range refuse[place.Kind] {
			execute(statement)
		}
		if _, err := s.Accept(t.Context(), sample("job-1", "https://a/1.png")); err == nil {
			t.Fatal("event accepted, want an error")
		}
		if err := s.Probe(t.Context()); err == nil {
			t.Error("while events are refused: no error, want one")
		}
		execute(allow[place.Kind])
		accept(t, s, sample("job-1", "https://a/1.png"))
		if err := s.Probe(t.Context()); err != nil {
			t.Errorf("after an event was accepted: error = %v, want none", err)
		}
	})
}
