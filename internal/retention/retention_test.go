package retention_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/backup"
	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/deepimage-receiver/receiver/internal/retention"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

const age = 30 * 24 * time.Hour

// receiver is the stores of one receiver with events in all states.
type receiver struct {
	*storetest.Stores

	store *retention.Store
}

func open(t testing.TB, place *databasetest.Place) *receiver {
	t.Helper()
	stores := storetest.Open(t, place, "download")
	return &receiver{Stores: stores, store: retention.NewStore(stores.Writer)}
}

func callback(job string) event.Event {
	body := fmt.Appendf(nil, `{"job":%q,"result_url":"https://example.com/%s.png?signature=secret"}`, job, job)
	return event.Event{Job: job, Digest: sha256.Sum256(body), Received: time.Now(), Body: body}
}

func (r *receiver) accept(t testing.TB, job string) event.Receipt {
	t.Helper()
	receipt, err := r.Inbox.Accept(context.WithoutCancel(t.Context()), callback(job))
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// relay carries what waits into the work store, with one step per event.
func (r *receiver) relay(t testing.TB) {
	t.Helper()
	entries, err := r.Inbox.Unrelayed(t.Context(), 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	r.addEntries(t, entries)
	var sequences []int64
	for _, e := range entries {
		sequences = append(sequences, e.Sequence)
	}
	if err := r.Inbox.Relayed(t.Context(), sequences); err != nil {
		t.Fatal(err)
	}
}

func (r *receiver) addEntries(t testing.TB, entries []event.Entry) {
	t.Helper()
	if _, err := r.Workflow.Add(t.Context(), workflowtest.Take(entries...), [][]string{{"download"}}); err != nil {
		t.Fatal(err)
	}
}

// set brings an event of a job into a state, that many days ago.
func (r *receiver) set(t testing.TB, job string, state event.Status, days int) {
	t.Helper()
	at := time.Now().AddDate(0, 0, -days).UnixMicro()
	r.Exec(t, "UPDATE steps SET state = $1, changed_at = $2 WHERE event_id IN (SELECT id FROM events WHERE job = $3)", string(state), at, job)
	r.Exec(t, "UPDATE events SET state = $1, received_at = $2 WHERE job = $3", string(state), at, job)
}

func (r *receiver) retention(config retention.Config, box retention.Inbox) *retention.Retention {
	return retention.New(config, retention.Deps{Store: r.store, Inbox: box, Log: zerolog.Nop()})
}

// drain makes passes until nothing is left, and returns their number.
func drain(t testing.TB, r *retention.Retention) (passes int) {
	t.Helper()
	for {
		pause, err := r.Pass(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if passes++; pause >= retention.Interval {
			return passes
		}
	}
}

// jobs returns the jobs of the events in the work store.
func (r *receiver) jobs(t testing.TB) []string {
	t.Helper()
	list, err := database.SelectColumn[string](t.Context(), r.DB.Reader, "SELECT job FROM events ORDER BY job")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// bodies returns the jobs whose bodies the inbox has.
func (r *receiver) bodies(t testing.TB) []string {
	t.Helper()
	list, err := database.SelectColumn[string](t.Context(), r.Databases.Inbox.Reader, "SELECT job FROM callbacks WHERE length(body) > 0 ORDER BY job")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// problems returns what `receiver verify` finds between the stores. There are no files.
func (r *receiver) problems(t testing.TB) []backup.Problem {
	t.Helper()
	none := func(context.Context, event.Artifact) (*blobstore.Object, error) { return nil, blobstore.ErrNotFound }
	report, err := backup.Verify(t.Context(), backup.Stores{Inbox: r.Databases.Inbox.Reader, Work: r.DB.Reader, Open: none}, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(report.Problems, func(p backup.Problem) bool { return p.Kind == backup.Missing })
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differ (-want +got):\n%s", what, diff)
	}
}

func TestAges(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		config        retention.Config
		jobs, bodies  []string
		rejectionKept int
	}{
		{name: "nothing", jobs: []string{"dead", "done", "late", "new", "open"}, bodies: []string{"dead", "done", "late", "new", "open"}, rejectionKept: 2},
		{
			name: "bodies", config: retention.Config{Bodies: age}, jobs: []string{"dead", "done", "late", "new", "open"},
			bodies: []string{"dead", "late", "new", "open"}, rejectionKept: 2,
		},
		{
			name: "events", config: retention.Config{Events: age, Bodies: 2 * age}, jobs: []string{"dead", "late", "new", "open"},
			bodies: []string{"dead", "late", "new", "open"}, rejectionKept: 2,
		},
		{
			name: "dead", config: retention.Config{Dead: age}, jobs: []string{"done", "late", "new", "open"},
			bodies: []string{"done", "late", "new", "open"}, rejectionKept: 2,
		},
		{
			name: "rejections", config: retention.Config{Rejections: age}, jobs: []string{"dead", "done", "late", "new", "open"},
			bodies: []string{"dead", "done", "late", "new", "open"}, rejectionKept: 1,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				r := open(t, place)
				for _, job := range []string{"done", "dead", "open", "late", "new"} {
					r.accept(t, job)
				}
				r.relay(t)
				r.set(t, "done", event.Done, 40)
				r.set(t, "dead", event.Dead, 40)
				r.set(t, "open", event.Retrying, 40)
				r.set(t, "late", event.Done, 1) // received long ago, done lately
				r.Exec(t, "UPDATE events SET received_at = $1 WHERE job = 'late'", time.Now().AddDate(0, 0, -39).UnixMicro())
				r.set(t, "new", event.Done, 1)
				for _, days := range []int{40, 1} {
					if err := r.Inbox.Reject(t.Context(), event.Rejection{Received: time.Now().AddDate(0, 0, -days), Body: []byte("{")}); err != nil {
						t.Fatal(err)
					}
				}
				drain(t, r.retention(row.config, r.Inbox))
				equal(t, "events", r.jobs(t), row.jobs)
				equal(t, "bodies", r.bodies(t), row.bodies)
				rejections, err := r.Inbox.Rejections(t.Context(), 0, 10)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "rejections", len(rejections), row.rejectionKept)
				equal(t, "problems", r.problems(t), []backup.Problem{})
			})
		})
	}
}

// A repeat of a removed event is a duplicate until its tombstone is removed, and a new event from then on.
func TestTombstones(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := open(t, place)
		first := r.accept(t, "job")
		r.accept(t, "kept")
		r.relay(t)
		r.set(t, "job", event.Done, 40)
		service := r.retention(retention.Config{Events: age, Tombstones: age}, r.Inbox)
		drain(t, service)
		equal(t, "repeat", r.accept(t, "job"), event.Receipt{ID: first.ID, Duplicate: true})
		source, renewals := r.tombstone(t, "job")
		equal(t, "source", source, "")
		equal(t, "URLs of the repeat that are stored", renewals, 0)
		if err := r.Inbox.Remove(t.Context(), []inbox.Identity{{Job: "job", ID: first.ID}}, time.Now()); err != nil {
			t.Fatal(err)
		}
		drain(t, service)
		equal(t, "repeat", r.accept(t, "job"), event.Receipt{ID: first.ID, Duplicate: true}) // not old enough

		old, err := r.Inbox.Tombstones(t.Context(), time.Now().Add(time.Minute), 10)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Inbox.DeleteTombstones(t.Context(), append(old, 1, 2)); err != nil { // 2 is not one
			t.Fatal(err)
		}
		if again := r.accept(t, "job"); again.Duplicate {
			t.Error("a repeat after the tombstone's age is a duplicate, want a new event")
		}
		if kept := r.accept(t, "kept"); !kept.Duplicate {
			t.Error("a repeat of an event that stays is new, want a duplicate")
		}
	})
}

// tombstone returns the client IP of a job's event in the inbox, and the number of its renewals.
func (r *receiver) tombstone(t testing.TB, job string) (source string, renewals int) {
	t.Helper()
	err := r.Databases.Inbox.Reader.QueryRowContext(t.Context(),
		"SELECT source, (SELECT count(*) FROM renewals WHERE job = $1) FROM callbacks WHERE job = $1", job).Scan(&source, &renewals)
	if err != nil {
		t.Fatal(err)
	}
	return source, renewals
}

// crashing is an inbox after whose commit the process ends.
type crashing struct{ *inbox.Inbox }

var errCrash = errors.New("the process ended")

func (c crashing) Remove(ctx context.Context, events []inbox.Identity, at time.Time) error {
	return errors.Join(c.Inbox.Remove(ctx, events, at), errCrash)
}

// A crash between the commits of the two stores leaves the event in the work store, and the next pass removes it. Nothing revives it.
func TestCrashBetweenTheStores(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := open(t, place)
		first := r.accept(t, "job")
		r.relay(t)
		r.set(t, "job", event.Done, 40)
		if _, err := r.retention(retention.Config{Events: age}, crashing{r.Inbox}).Pass(t.Context()); !errors.Is(err, errCrash) {
			t.Fatalf("Pass() = %v, want %v", err, errCrash)
		}
		equal(t, "events after the crash", r.jobs(t), []string{"job"})
		drain(t, r.retention(retention.Config{Events: age}, r.Inbox))
		equal(t, "events", len(r.jobs(t)), 0)
		equal(t, "problems", r.problems(t), []backup.Problem{})
		equal(t, "repeat", r.accept(t, "job"), event.Receipt{ID: first.ID, Duplicate: true})
	})
}

// A work store that is lost is not filled with removed events at the next start.
func TestRemovedEventsAreNotRestored(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.SQLite)
	r := open(t, place)
	for _, job := range []string{"done", "bodiless", "open"} {
		r.accept(t, job)
	}
	r.relay(t)
	r.set(t, "done", event.Done, 40)
	r.set(t, "bodiless", event.Done, 35)
	drain(t, r.retention(retention.Config{Events: 37 * 24 * time.Hour, Bodies: age}, r.Inbox))
	if err := r.Inbox.Close(); err != nil {
		t.Fatal(err)
	}
	r.Exec(t, "DELETE FROM events")
	r.Exec(t, "DELETE FROM mark")
	match, err := relay.MatchStores(t.Context(), r.Databases.Inbox, r.DB)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "match", match, relay.Match{Requeued: 1})
}

// Many old events are removed in transactions of bounded size, and an event that is replayed meanwhile stays.
func TestBatches(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := open(t, place)
		const events = 3*retention.MaxEvents + 10
		for n := range events {
			r.accept(t, fmt.Sprintf("job-%03d", n))
		}
		r.relay(t)
		old := time.Now().AddDate(0, 0, -40).UnixMicro()
		r.Exec(t, "UPDATE steps SET state = 'done', changed_at = $1", old)
		r.Exec(t, "UPDATE events SET state = 'done', received_at = $1", old)
		box := &counting{Inbox: r.Inbox}
		passes := drain(t, r.retention(retention.Config{Events: age}, box))
		equal(t, "events left", len(r.jobs(t)), 0)
		equal(t, "removed", box.events, events)
		if box.largest > retention.MaxEvents {
			t.Errorf("events in one transaction = %d, want at most %d", box.largest, retention.MaxEvents)
		}
		if passes < 4 {
			t.Errorf("passes = %d, want at least 4", passes)
		}
	})
}

type counting struct {
	*inbox.Inbox

	events, largest int
}

func (c *counting) Remove(ctx context.Context, events []inbox.Identity, at time.Time) error {
	c.events += len(events)
	c.largest = max(c.largest, len(events))
	return c.Inbox.Remove(ctx, events, at)
}

// One replica removes at a time. Another one takes over when its lease is over.
func TestLease(t *testing.T) {
	t.Parallel()
	r := open(t, databasetest.NewPlace(t, database.Postgres))
	other := retention.NewStore(r.Writer)
	for _, row := range []struct {
		name  string
		store *retention.Store
		lease time.Duration
		want  bool
	}{
		{"first", r.store, time.Hour, true},
		{"first again", r.store, time.Hour, true},
		{"other", other, time.Hour, false},
		{"first ends", r.store, 0, true},
		{"other takes over", other, time.Hour, true},
		{"first came too late", r.store, time.Hour, false},
	} {
		held, err := row.store.Acquire(t.Context(), row.lease)
		if err != nil || held != row.want {
			t.Errorf("%s: Acquire() = %v, %v; want %v", row.name, held, err, row.want)
		}
	}
}

// F12: when the clock of the database goes back, the lease of a replica that has ended does not last longer.
func TestLeaseWhenTheClockGoesBack(t *testing.T) {
	t.Parallel()
	r := open(t, databasetest.NewPlace(t, database.Postgres))
	if _, err := r.Workflow.CorrectStart(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if held, err := r.store.Acquire(t.Context(), time.Hour); !held || err != nil {
		t.Fatalf("Acquire() = %v, %v; want the lease", held, err)
	}
	reading, err := r.DB.ReadClock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Workflow.CorrectJump(t.Context(), reading.Shifted(-6*time.Hour)); err != nil {
		t.Fatal(err)
	}
	other := retention.NewStore(r.Writer)
	for _, row := range []struct {
		name  string
		after time.Duration
		want  bool
	}{{name: "before the end of the lease", after: 50 * time.Minute}, {name: "after it", after: 70 * time.Minute, want: true}} {
		r.DB.AdoptClock(reading.Shifted(row.after - 6*time.Hour))
		if held, err := other.Acquire(t.Context(), time.Minute); err != nil || held != row.want {
			t.Errorf("%s: Acquire() = %v, %v; want %v", row.name, held, err, row.want)
		}
	}
}

// The files get shorter when bodies are removed.
func TestFilesShrink(t *testing.T) {
	t.Parallel()
	place := databasetest.NewPlace(t, database.SQLite)
	r := open(t, place)
	for n := range 300 {
		e := callback(fmt.Sprint("job-", n))
		e.Body = append(e.Body, make([]byte, 200_000)...)
		if _, err := r.Inbox.Accept(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	r.relay(t)
	old := time.Now().AddDate(0, 0, -40).UnixMicro()
	r.Exec(t, "UPDATE steps SET state = 'done', changed_at = $1", old)
	r.Exec(t, "UPDATE events SET state = 'done', received_at = $1", old)
	pages := func() (n int) {
		if err := r.Databases.Inbox.Reader.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := pages()
	drain(t, r.retention(retention.Config{Bodies: age}, r.Inbox))
	if after := pages(); after > before/2 {
		t.Errorf("pages after = %d, before %d; want at most half", after, before)
	}
}
