package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/google/go-cmp/cmp"
)

// Postgres has the finished events of an embedded receiver and continues its open ones, with the same ids.
func TestCopyKeepsEverything(t *testing.T) {
	t.Parallel()
	v, client := vendor(t), newClient(t)
	source := configuration(t, databasetest.NewPlace(t, database.SQLite))
	embedded := start(t, source)
	done := map[event.ID]history.Details{}
	for range 5 {
		job, err := v.NewJob(fakevendortest.JobOptions{})
		if err != nil {
			t.Fatal(err)
		}
		id := post(t, client, embedded.webhook()+"?reference=SKU-4711", v.Callback(job, embedded.webhook())).ID
		done[id] = embedded.await(t, id)
	}
	embedded.stop()
	open := leaveOpen(t, source, 3)
	beginReplay(t, source)
	target := configuration(t, databasetest.NewPlace(t, database.Postgres))
	target.Fetch.AllowedHosts = source.Fetch.AllowedHosts
	var far int
	first, err := app.Copy(t.Context(), source, target, func(done, all int) { far = done * 100 / all })
	if err != nil || !first.Complete || first.Inbox.Fresh != 8 || first.Work.Fresh != 8 || first.Work.Jobs != 3 || far != 100 {
		t.Fatalf("report = %+v at %d %%, error %v; want complete at 100 %% with 8 new events and 3 queued steps", first, far, err)
	}
	server := start(t, target)
	for id, before := range done {
		after, err := server.Stores().History.Load(t.Context(), id)
		if diff := cmp.Diff(before, after, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("event %s differs, error %v (-want +got):\n%s", id, err, diff)
		}
	}
	if found, err := server.Stores().History.Find(t.Context(), history.Filter{Prefix: "sku-47"}, "", 10); err != nil || len(found) != len(done) {
		t.Errorf("found %d events by their reference, error %v; want %d", len(found), err, len(done))
	}
	if r, err := server.Stores().BulkReplays.Latest(t.Context()); err != nil || r.Filter.Job != "none" {
		t.Errorf("bulk replay = %+v, error %v; want that of the source", r, err)
	}
	for _, id := range open {
		if h := server.await(t, id); h.Event.State != event.Dead { // it has no image, but it was processed
			t.Errorf("state = %s, want dead: %+v", h.Event.State, h.Steps)
		}
	}
	again, err := app.Copy(t.Context(), source, target, func(int, int) {})
	if err != nil || !again.Complete || again.Inbox.Known != 8 || again.Work.Known != 8 || again.Work.Jobs != 0 {
		t.Errorf("second report = %+v, error %v; want complete with 8 known events and no queued step", again, err)
	}
}

// beginReplay creates a bulk replay in the store of a stopped receiver.
func beginReplay(t *testing.T, c config.Config) {
	t.Helper()
	db, err := database.OpenSQLite(t.Context(), c.WorkFile())
	if err != nil {
		t.Fatal(err)
	}
	writer := database.NewWriter(db)
	err = replay.NewStore(writer).Create(t.Context(), history.Filter{State: event.Dead, Job: "none"})
	if err := errors.Join(err, writer.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// leaveOpen starts an embedded receiver that accepts events, and stops it while it processes them.
func leaveOpen(t *testing.T, c config.Config, n int) (ids []event.ID) {
	t.Helper()
	begun := make(chan struct{}, n)
	c.Handlers = []config.Handler{{
		Definition: handler.Define("download", func(context.Context, idleConfig, handler.Deps) (waiting, error) { return waiting{begun}, nil }),
		Config:     &idleConfig{},
	}}
	r := start(t, c)
	client := newClient(t)
	for i := range n {
		a := post(t, client, r.webhook(), fmt.Appendf(nil, `{"job":"open-%d"}`, i))
		ids = append(ids, a.ID)
		<-begun
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout/10)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
	return ids
}

// waiting is a handler that runs until it is stopped.
type waiting struct{ begun chan<- struct{} }

func (w waiting) Handle(ctx context.Context, _ event.Event) (handler.Outcome, error) {
	w.begun <- struct{}{}
	<-ctx.Done()
	return handler.Outcome{}, errors.New("stopped")
}

// An event that the target has accepted itself is not copied and keeps its id.
func TestCopyKeepsEventsOfTheTarget(t *testing.T) {
	t.Parallel()
	client := newClient(t)
	source := configuration(t, databasetest.NewPlace(t, database.SQLite))
	target := configuration(t, databasetest.NewPlace(t, database.Postgres))
	body := []byte(`{"job":"both"}`)
	embedded := start(t, source)
	embedded.await(t, post(t, client, embedded.webhook(), body).ID)
	embedded.stop()
	server := start(t, target)
	id := post(t, client, server.webhook(), body).ID
	server.await(t, id)
	report, err := app.Copy(t.Context(), source, target, func(int, int) {}) // while the target runs
	if err != nil || !report.Complete || report.Inbox.OtherID != 1 || report.Work.NoInbox != 1 || report.Inbox.Fresh != 0 {
		t.Errorf("report = %+v, error %v; want complete with 1 event of another id and nothing new", report, err)
	}
	if a := post(t, client, server.webhook(), body); a.ID != id || a.Status != "duplicate" {
		t.Errorf("receipt = %+v, want a duplicate of %s", a, id)
	}
}

// Verification, quarantine and tracked jobs are copied too.
func TestCopyKeepsVerification(t *testing.T) {
	t.Parallel()
	v, client := vendor(t), newClient(t)
	source := trusting(t, databasetest.NewPlace(t, database.SQLite), v)
	embedded := start(t, source)
	job := newJob(t, v, fakevendortest.JobOptions{})
	impostor, err := v.Impersonate(job)
	if err != nil {
		t.Fatal(err)
	}
	before := map[event.ID]history.Details{}
	for _, sent := range []fakevendortest.Job{job, impostor, newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.Forged})} {
		id := post(t, client, embedded.webhook(), v.Callback(sent, embedded.webhook())).ID
		want := event.Done
		if len(before) == 2 {
			want = event.Quarantined
		}
		before[id] = embedded.reaches(t, id, want)
	}
	embedded.track(t, client, job.ID, "never came")
	embedded.stop()
	target := trusting(t, databasetest.NewPlace(t, database.Postgres), v)
	for range 2 { // it can be run again
		if report, err := app.Copy(t.Context(), source, target, func(int, int) {}); err != nil || !report.Complete {
			t.Fatalf("report = %+v, error %v; want complete", report, err)
		}
	}
	server := start(t, target)
	for id, before := range before {
		after, err := server.Stores().History.Load(t.Context(), id)
		if diff := cmp.Diff(before, after, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("event %s differs, error %v (-want +got):\n%s", id, err, diff)
		}
	}
	counts, err := server.Stores().Jobs.Counts(t.Context())
	if err != nil || counts[jobs.Arrived] != 1 || counts[jobs.Waiting] != 1 {
		t.Errorf("tracked jobs = %v, error %v; want 1 arrived and 1 waiting", counts, err)
	}
}

// Renewed URLs, an erasure that has not ended and files that are deleted next are copied too.
func TestCopyKeepsWhatIsUnfinished(t *testing.T) {
	t.Parallel()
	source := configuration(t, databasetest.NewPlace(t, database.SQLite))
	leaveOpen(t, source, 1)
	db, err := database.OpenSQLite(t.Context(), source.WorkFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`UPDATE events SET renewed = '["https://example.com/?signature=new"]'`,
		"INSERT INTO erasures (job, images, requested_at) VALUES ('erased', 1, 1)",
		`WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 998) INSERT INTO removed_files (handler, key, job, sha256, removed_at)
			SELECT 'handler-' || (n % 3), 'key-' || (n / 3), 'erased', '', 1 FROM numbers`, // no multiple of the rows of one transaction
	} {
		if _, err := db.Writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	place := databasetest.NewPlace(t, database.Postgres)
	if report, err := app.Copy(t.Context(), source, configuration(t, place), func(int, int) {}); err != nil || !report.Complete {
		t.Fatalf("report = %+v, error %v; want complete", report, err)
	}
	var renewed, erasures, files int
	err = place.Open(t).Work.Reader.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM events WHERE renewed <> ''),
		(SELECT count(*) FROM erasures WHERE removed_at IS NULL), (SELECT count(*) FROM removed_files)`).Scan(&renewed, &erasures, &files)
	if err != nil || renewed != 1 || erasures != 1 || files != 999 {
		t.Errorf("%d renewed events, %d erasures, %d files, error %v; want 1, 1 and 999", renewed, erasures, files, err)
	}
}
