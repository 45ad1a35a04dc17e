package inbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/groupcommit"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

// defaults returns limits that a test does not reach.
func defaults() inbox.Config {
	return inbox.Config{MaxBatch: 512, MaxBacklog: 1_000_000, MaxRejections: 100, MaxRejectionsBytes: 1 << 20}
}

// store is an inbox with its databases, so that a test can stop it and start it again.
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

// wantBacklog waits for the backlog, which is counted once a second in Postgres.
func (s *store) wantBacklog(t *testing.T, want int64) {
	t.Helper()
	testkit.Eventually(t, "backlog", want, s.Backlog)
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

func TestDuplicates(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		first := accept(t, s, sample("job-1", "https://a/1.png"))
		for _, row := range []struct {
			name      string
			event     event.Event
			duplicate bool
		}{
			{name: "the same event", event: sample("job-1", "https://a/1.png"), duplicate: true},
			{name: "same job, new result", event: sample("job-1", "https://a/2.png")},
			{name: "other job, same result", event: sample("job-2", "https://a/1.png")},
		} {
			receipt := accept(t, s, row.event)
			if receipt.Duplicate != row.duplicate || (receipt.ID == first.ID) != row.duplicate {
				t.Errorf("%s: receipt = %+v, want duplicate of %s: %t", row.name, receipt, first.ID, row.duplicate)
			}
		}
		s.stop(t)
		want := event.Receipt{ID: first.ID, Duplicate: true}
		if again := accept(t, open(t, place, defaults()), sample("job-1", "https://a/1.png")); again != want {
			t.Errorf("receipt after a restart = %+v, want %+v", again, want)
		}
	})
}

// The names of an event are durable and never change. A purge removes them with the body.
func TestNames(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		names := func() []event.Names {
			entries, err := s.Unrelayed(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			list := make([]event.Names, len(entries))
			for n, e := range entries {
				list[n] = e.Names
			}
			return list
		}
		first := sample("job-1", "https://a/1.png")
		first.Names = event.Names{Input: "Größe.png", Reference: "SKU-4711"}
		id := accept(t, s, first).ID
		repeat := sample("job-1", "https://a/1.png")
		repeat.Names = event.Names{Reference: "other"}
		if receipt := accept(t, s, repeat); receipt.ID != id || !receipt.Duplicate {
			t.Errorf("receipt of the repeat = %+v, want a duplicate of %s", receipt, id)
		}
		accept(t, s, sample("job-2", "https://a/1.png"))
		s.stop(t)
		s = open(t, place, defaults())
		if got, want := names(), []event.Names{first.Names, {}}; !slices.Equal(got, want) {
			t.Errorf("names = %+v, want %+v", got, want)
		}
		if err := s.Purge(t.Context(), []inbox.Identity{{Job: "job-1", ID: id}}); err != nil {
			t.Fatal(err)
		}
		if got, want := names(), []event.Names{{}, {}}; !slices.Equal(got, want) {
			t.Errorf("names after the purge = %+v, want %+v", got, want)
		}
	})
}

// wantOneID checks the receipts of one event: all have one id, and one is not a duplicate.
func wantOneID(t *testing.T, job int, receipts []event.Receipt) {
	t.Helper()
	fresh := 0
	for _, receipt := range receipts {
		if receipt.ID != receipts[0].ID {
			t.Errorf("job %d: id = %s, want %s", job, receipt.ID, receipts[0].ID)
		}
		if !receipt.Duplicate {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("job %d: receipts that are no duplicates = %d, want 1", job, fresh)
	}
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
			wantOneID(t, job, list[:])
		}
		s.wantBacklog(t, jobs)
	})
}

func TestRelayed(t *testing.T) {
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
			t.Fatalf("Unrelayed = %d entries, error %v; want 10, nil", len(entries), err)
		}
		for _, e := range entries {
			body, err := s.Body(t.Context(), e.Job, e.ID)
			if err != nil || string(body) != want[e.ID] || e.Bytes != int64(len(body)) {
				t.Errorf("Body of %s = %q, error %v, for %d bytes; want %q", e.ID, body, err, e.Bytes, want[e.ID])
			}
		}
		sequences := []int64{entries[0].Sequence, entries[1].Sequence}
		for range 2 { // the second time changes nothing
			if err := s.Relayed(t.Context(), sequences); err != nil {
				t.Fatal(err)
			}
		}
		s.wantBacklog(t, 8)
		s.stop(t)
		s = open(t, place, defaults())
		rest, err := s.Unrelayed(t.Context(), 3)
		if err != nil || len(rest) != 3 || rest[0].ID != entries[2].ID || s.Backlog() != 8 {
			t.Errorf("after a restart: %d entries, backlog %d, error %v; want 3, 8, nil, from event %s on", len(rest), s.Backlog(), err, entries[2].ID)
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
			t.Errorf("Accept with a cancelled context: error = %v, want %v", err, context.Canceled)
		}
		s.wantBacklog(t, 0)
	})
}

func TestMaxBacklog(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		config := defaults()
		config.MaxBacklog = 2
		s := open(t, place, config)
		accept(t, s, sample("job-1", "https://a/1.png"))
		accept(t, s, sample("job-2", "https://a/1.png"))
		if _, err := s.Accept(t.Context(), sample("job-3", "https://a/1.png")); !errors.Is(err, event.ErrBacklogFull) {
			t.Errorf("Accept beyond the limit: error = %v, want %v", err, event.ErrBacklogFull)
		}
		entries, _ := s.Unrelayed(t.Context(), 1)
		if err := s.Relayed(t.Context(), []int64{entries[0].Sequence}); err != nil {
			t.Fatal(err)
		}
		s.wantBacklog(t, 1)
		accept(t, s, sample("job-3", "https://a/1.png"))
	})
}

func TestRejections(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		config := defaults()
		config.MaxRejections, config.MaxRejectionsBytes = 3, 1000
		rows := []struct {
			name  string
			sizes []int
			kept  []int // newest first
		}{
			{name: "few", sizes: []int{10, 20}, kept: []int{20, 10}},
			{name: "too many", sizes: []int{1, 2, 3, 4, 5}, kept: []int{5, 4, 3}},
			{name: "too many bytes", sizes: []int{600, 300, 200}, kept: []int{200, 300}},
			{name: "one that is too large", sizes: []int{5000}, kept: []int{1000}},
			{name: "empty", sizes: []int{0}, kept: []int{0}},
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
					s.stop(t) // the limits hold over restarts
					s = open(t, place, config)
				}
				kept, err := s.Rejections(t.Context(), 0, 100)
				if err != nil || len(kept) != len(row.kept) {
					t.Fatalf("Rejections = %d, error %v; want %d, nil", len(kept), err, len(row.kept))
				}
				for i, size := range row.kept {
					if !bytes.Equal(kept[i].Body, bytes.Repeat([]byte{0xff}, size)) || kept[i].Code != event.RejectedMalformed {
						t.Errorf("rejection %d: %d bytes, code %q; want %d, %q", i, len(kept[i].Body), kept[i].Code, size, event.RejectedMalformed)
					}
				}
				if ever, err := s.Rejected(t.Context()); err != nil || ever != int64(len(row.sizes)) {
					t.Errorf("Rejected = %d, error %v; want %d, nil", ever, err, len(row.sizes))
				}
				want := inbox.Stats{RejectedEver: int64(len(row.sizes)), RejectedKept: int64(len(row.kept))}
				for _, size := range row.kept {
					want.RejectedBytes += int64(size)
				}
				stats, err := s.Stats(t.Context())
				if diff := cmp.Diff(want, stats); err != nil || diff != "" {
					t.Errorf("Stats: error %v (-want +got):\n%s", err, diff)
				}
			})
		}
	})
}

func TestClosed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Accept(t.Context(), sample("job-1", "https://a/1.png")); !errors.Is(err, groupcommit.ErrClosed) {
			t.Errorf("Accept = %v, want %v", err, groupcommit.ErrClosed)
		}
		if err := s.Probe(t.Context()); !errors.Is(err, groupcommit.ErrClosed) {
			t.Errorf("Probe = %v, want %v", err, groupcommit.ErrClosed)
		}
	})
}

// TestFullDisk refuses events while the disk is full, keeps those before, and accepts again afterwards.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.NewPlace(t, database.SQLite), defaults())
	kept := accept(t, s, sample("job-1", "https://a/1.png"))
	limitPages(t, s, 1)
	big := sample("job-2", "https://a/1.png")
	big.Body = bytes.Repeat([]byte("x"), 1<<20)
	if _, err := s.Accept(t.Context(), big); !database.IsFull(err) {
		t.Errorf("Accept on a full disk: error = %v, want database.IsFull", err)
	}
	if s.Backlog() != 1 {
		t.Errorf("backlog = %d, want 1", s.Backlog())
	}
	limitPages(t, s, 1<<30)
	if receipt := accept(t, s, big); receipt.Duplicate {
		t.Errorf("receipt of a refused event = %+v, want no duplicate", receipt)
	}
	if again := accept(t, s, sample("job-1", "https://a/1.png")); again.ID != kept.ID {
		t.Errorf("id of the event before = %s, want %s", again.ID, kept.ID)
	}
}

func limitPages(t *testing.T, s *store, pages int) {
	t.Helper()
	if err := s.LimitPages(t.Context(), fmt.Sprint(pages)); err != nil {
		t.Fatal(err)
	}
}

// TestTimeoutBeforeTheWrite has callers time out while the database hangs. Events whose write has not begun are not stored later.
func TestTimeoutBeforeTheWrite(t *testing.T) {
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
				t.Errorf("Accept while the database hangs: error = %v, want %v", err, groupcommit.ErrTimeout)
			}
		})
	}
	group.Wait()
	release()
	accept(t, s, sample("job-9", "https://a/1.png"))
	if backlog := s.Backlog(); backlog > 2 {
		t.Errorf("backlog = %d, want 2 at most: one write had begun", backlog)
	}
}

// hang holds the write lock of the file until release, as another process could.
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

// TestReplicasAgreeOnIDs has replicas accept the same events at the same time.
func TestReplicasAgreeOnIDs(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.Postgres)
	replicas := []*store{open(t, place, defaults()), open(t, place, defaults()), open(t, place, defaults())}
	const jobs, repeats = 60, 5
	receipts := make([][]event.Receipt, jobs)
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
					receipts[number] = append(receipts[number], receipt)
					mutex.Unlock()
				}
			})
		}
	}
	group.Wait()
	for job, list := range receipts {
		wantOneID(t, job, list)
	}
	replicas[0].wantBacklog(t, jobs)
}

// TestReadOnlyDatabase refuses events while the database is read-only, like a standby, and accepts again afterwards.
func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.NewPlace(t, database.Postgres), defaults())
	kept := accept(t, s, sample("job-1", "https://a/1.png"))
	readOnly := func(on string) {
		if _, err := s.stores.Work.Pool.Exec(t.Context(), "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = "+on+"', current_database()); END $$"); err != nil {
			t.Fatal(err)
		}
		s.stores.Inbox.Pool.Reset() // the setting applies to new connections
	}
	readOnly("on")
	_, err := s.Accept(t.Context(), sample("job-2", "https://a/1.png"))
	if !database.IsFull(err) {
		t.Errorf("Accept in a read-only database: error = %v, want database.IsFull", err)
	}
	if err := s.Probe(t.Context()); err == nil {
		t.Error("Probe in a read-only database = nil, want an error")
	}
	readOnly("off")
	if receipt := accept(t, s, sample("job-2", "https://a/1.png")); receipt.Duplicate {
		t.Errorf("receipt of a refused event = %+v, want no duplicate", receipt)
	}
	if again := accept(t, s, sample("job-1", "https://a/1.png")); again.ID != kept.ID {
		t.Errorf("id of the event before = %s, want %s", again.ID, kept.ID)
	}
}

// TestReconnect has the server end all connections.
func TestReconnect(t *testing.T) {
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
	s.wantBacklog(t, 10)
}

// TestProbeFailsWhileEventsAreRefused has a database that accepts the row of a probe but no event: it is not ready.
func TestProbeFailsWhileEventsAreRefused(t *testing.T) {
	t.Parallel()
	refuse := map[database.Kind][]string{
		database.SQLite: {"CREATE TRIGGER refuse BEFORE INSERT ON callbacks BEGIN SELECT RAISE(ABORT, 'no space'); END"},
		database.Postgres: {
			"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$",
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

// TestSignedDigest is fault A10: a callback whose URLs are signed anew is a duplicate, also of an event that an earlier
// version stored with the digest of its signed URLs.
func TestSignedDigest(t *testing.T) {
	t.Parallel()
	decode := func(signature string) event.Event {
		e, err := event.Decode(fmt.Appendf(nil, `{"job":"job-1","result_url":"https://b.s3.amazonaws.com/a.png?X-Amz-Date=1&X-Amz-Signature=%s"}`, signature))
		if err != nil {
			t.Fatal(err)
		}
		e.Received = time.Now()
		return e
	}
	rows := []struct {
		name  string
		first event.Event
	}{
		{"A10 stored by this version", decode("1")},
		{"A10 stored by an earlier version", func() event.Event {
			e := decode("2")
			e.Digest = e.SignedDigest
			return e
		}()},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := open(t, place, defaults())
				first := accept(t, s, row.first)
				want := event.Receipt{ID: first.ID, Duplicate: true}
				if got := accept(t, s, decode("2")); got != want {
					t.Errorf("receipt = %+v, want %+v", got, want)
				}
				another := decode("3")
				another.Job = "job-2"
				if got := accept(t, s, another); got.Duplicate {
					t.Errorf("receipt of another job = %+v, want no duplicate", got)
				}
				if row.first.Digest != row.first.SignedDigest {
					if got := accept(t, s, decode("3")); got != want {
						t.Errorf("receipt with another signature = %+v, want %+v", got, want)
					}
				}
			})
		})
	}
}

// TestAcceptRejection is fault A1: a person can accept whatever was rejected.
func TestAcceptRejection(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, body, job, resultURL string
		wantJob, wantURL, wantBody string // wantBody "" for a new body
		wantErr                    bool
	}{
		{name: "A1 readable by this version", body: `{"job":"a","data":NaN}`, wantJob: "a", wantBody: `{"job":"a","data":NaN}`},
		{name: "A1 job from the body", body: `{"job":"b","results":[NaN],"result_url":"https://h/b.png"}`, wantJob: "b", wantURL: "https://h/b.png"},
		{name: "A1 cut off", body: `{"job":"c","data":{"x":`, wantJob: "c"},
		{name: "A1 ambiguous job", body: `{"job":"d","job":"e"}`, wantErr: true},
		{name: "A1 ambiguous job, named by the person", body: `{"job":"d","job":"e"}`, job: "e", wantJob: "e"},
		{name: "A1 no JSON", body: "job=7", wantErr: true},
		{name: "A1 no JSON, named by the person", body: "job=7\xff", job: "7", resultURL: "https://h/7.png", wantJob: "7", wantURL: "https://h/7.png"},
		{name: "A1 invalid job", body: "{}", job: "a\u0000b", wantErr: true},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		for _, row := range rows {
			err := s.Reject(t.Context(), event.Rejection{Received: time.Now(), Code: event.RejectedMalformed, Detail: "no", Body: []byte(row.body)})
			if err != nil {
				t.Fatal(err)
			}
			rejections, err := s.Rejections(t.Context(), 0, 1)
			if err != nil {
				t.Fatal(err)
			}
			id := rejections[0].ID
			receipt, err := s.AcceptRejection(t.Context(), id, row.job, row.resultURL)
			if row.wantErr {
				if _, notFound := s.Rejection(t.Context(), id); err == nil || notFound != nil {
					t.Errorf("%s: error = %v, rejection error = %v, want an error and the rejection kept", row.name, err, notFound)
				}
				continue
			}
			if err != nil || receipt.Duplicate {
				t.Errorf("%s: receipt = %+v (%v), want a new event", row.name, receipt, err)
				continue
			}
			if _, err := s.Rejection(t.Context(), id); !errors.Is(err, inbox.ErrNotFound) {
				t.Errorf("%s: rejection error = %v, want %v", row.name, err, inbox.ErrNotFound)
			}
			body, err := s.Body(t.Context(), row.wantJob, receipt.ID)
			if err != nil {
				t.Fatal(err)
			}
			e, err := event.Decode(body)
			if err != nil || e.Job != row.wantJob || e.ResultURL != row.wantURL || row.wantBody != "" && string(body) != row.wantBody {
				t.Errorf("%s: job, result_url, body = %q, %q, %s (%v), want %q, %q", row.name, e.Job, e.ResultURL, body, err, row.wantJob, row.wantURL)
			}
		}
		if err := s.DeleteRejection(t.Context(), 1_000_000); err != nil {
			t.Errorf("deleting an unknown rejection: error = %v, want none", err)
		}
	})
}

// A2: the body as it came is stored beside that of a new event.
func TestOriginal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		original := event.Original{ContentEncoding: "gzip", ContentType: "application/json", Body: []byte{0x1f, 0x8b, 0, 0xff}}
		e := sample("A2", "1")
		e.Original = &original
		first := accept(t, s, e)
		e.Original = &event.Original{Body: []byte("another")}
		if again := accept(t, s, e); !again.Duplicate || again.ID != first.ID {
			t.Errorf("receipt = %+v, want a duplicate of %s", again, first.ID)
		}
		got, err := s.Original(t.Context(), first.ID)
		if err != nil || !cmp.Equal(got, original) {
			t.Errorf("Original() = %+v, %v, want %+v", got, err, original)
		}
		described, length, err := s.DescribeOriginal(t.Context(), first.ID)
		if err != nil || described.ContentEncoding != "gzip" || described.ContentType != "application/json" || length != 4 {
			t.Errorf("DescribeOriginal() = %+v, %d, %v, want gzip, application/json, 4", described, length, err)
		}
		plain := accept(t, s, sample("A2", "2"))
		if _, err := s.Original(t.Context(), plain.ID); !errors.Is(err, inbox.ErrNotFound) {
			t.Errorf("Original() of a plain event = %v, want %v", err, inbox.ErrNotFound)
		}
	})
}

// A2: a copy to Postgres keeps the bodies as they came.
func TestCopyKeepsOriginals(t *testing.T) {
	t.Parallel()
	from, to := databasetest.NewPlace(t, database.SQLite), databasetest.NewPlace(t, database.Postgres)
	source := open(t, from, defaults())
	e := sample("A2", "1")
	e.Original = &event.Original{ContentType: "application/x-www-form-urlencoded", Body: []byte("payload=%7B%7D")}
	receipt := accept(t, source, e)
	target := open(t, to, defaults())
	for range 2 {
		if _, err := inbox.Copy(t.Context(), source.stores.Inbox, target.stores.Inbox, func(int) {}); err != nil {
			t.Fatal(err)
		}
		got, err := target.Original(t.Context(), receipt.ID)
		if err != nil || !cmp.Equal(got, *e.Original) {
			t.Errorf("Original() = %+v, %v, want %+v", got, err, *e.Original)
		}
	}
}
