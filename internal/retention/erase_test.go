package retention_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/backup"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/retention"
	"github.com/rs/zerolog"
)

// bucket records which files were deleted.
type bucket struct {
	mutex   sync.Mutex
	deleted []string
	down    error
}

func (b *bucket) delete(_ context.Context, artifact event.Artifact) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.down == nil {
		b.deleted = append(b.deleted, artifact.Key)
	}
	return b.down
}

func (r *receiver) withBucket(config retention.Config, box retention.Inbox, files *bucket) *retention.Retention {
	return retention.New(config, retention.Deps{Store: r.store, Inbox: box, DeleteFile: files.delete, Log: zerolog.Nop()})
}

// store records a stored file of a job's events.
func (r *receiver) storeFile(t testing.TB, job, key string) {
	t.Helper()
	r.Exec(t, `INSERT INTO artifacts (event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at)
		SELECT id, 'download', (SELECT count(*) FROM artifacts WHERE event_id = id), 'https://example.com/?signature=secret', $1, 'file:///x', 1, 'sum', 'image/png', 1, 1, 1
		FROM events WHERE job = $2`, key, job)
}

// traces counts the rows of a job beside its tombstones.
func (r *receiver) traces(t testing.TB, job string) (n int) {
	t.Helper()
	for _, query := range []string{
		"SELECT count(*) FROM events WHERE job = $1",
		"SELECT count(*) FROM artifacts WHERE key LIKE '%' || $1 || '%'",
		"SELECT count(*) FROM removed_files WHERE job = $1",
		"SELECT count(*) FROM erasures WHERE job = $1 AND removed_at IS NULL",
	} {
		n += r.Count(t, query, job)
	}
	var stored int
	err := r.Databases.Inbox.Reader.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM callbacks WHERE job = $1 AND length(body) > 0) +
		(SELECT count(*) FROM renewals WHERE job = $1) + (SELECT count(*) FROM rejections)`, job).Scan(&stored)
	if err != nil {
		t.Fatal(err)
	}
	return n + stored
}

// confirm makes the erasures older, so that the next pass looks at them again.
func (r *receiver) confirm(t testing.TB) {
	t.Helper()
	r.Exec(t, "UPDATE erasures SET requested_at = requested_at - 60000000, removed_at = removed_at - 60000000")
}

func TestErase(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := open(t, place)
		first := r.accept(t, "job")
		r.accept(t, "other")
		r.relay(t)
		r.storeFile(t, "job", "2026/job/a.png")
		r.storeFile(t, "other", "2026/other/a.png")
		r.storeFile(t, "job", "shared.png")
		r.storeFile(t, "other", "shared.png")
		r.set(t, "job", event.Dead, 1)
		unrelayed := callback("job")
		unrelayed.Digest[0]++
		if _, err := r.Inbox.Accept(t.Context(), unrelayed); err != nil {
			t.Fatal(err)
		}
		if err := r.Inbox.Reject(t.Context(), event.Rejection{Received: time.Now(), Body: []byte(`{"job":"job"`)}); err != nil {
			t.Fatal(err)
		}
		files := &bucket{}
		service := r.withBucket(retention.Config{}, r.Inbox, files)
		if _, err := service.Erase(t.Context(), "unknown", true); !errors.Is(err, database.ErrNotFound) {
			t.Errorf("Erase() of an unknown job = %v, want %v", err, database.ErrNotFound)
		}
		got, err := service.Erase(t.Context(), "job", true)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "erased", got, retention.Erased{Job: "job", Events: 2, Rejections: 1, Files: 1, Finished: true})
		equal(t, "deleted files", files.deleted, []string{"2026/job/a.png"})
		equal(t, "traces", r.traces(t, "job"), 0)
		equal(t, "events", r.jobs(t), []string{"other"})
		equal(t, "repeat", r.accept(t, "job"), event.Receipt{ID: first.ID, Duplicate: true})
		equal(t, "problems", r.problems(t), []backup.Problem{})

		later := callback("job")
		later.Digest[0] += 2
		if receipt, err := r.Inbox.Accept(t.Context(), later); err != nil || receipt.Duplicate {
			t.Errorf("Accept() of another result = %+v, %v; want a new event", receipt, err)
		}
		r.relay(t)
		r.confirm(t)
		drain(t, service)
		equal(t, "events of a later callback", r.jobs(t), []string{"job", "other"})
		equal(t, "erasures", r.Count(t, "SELECT count(*) FROM erasures"), 0)
	})
}

// While a step is running nothing is erased.
func TestEraseWaitsForARunningStep(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := open(t, place)
		r.accept(t, "job")
		r.relay(t)
		r.set(t, "job", event.Running, 1)
		service := r.withBucket(retention.Config{}, r.Inbox, &bucket{})
		if _, err := service.Erase(t.Context(), "job", true); !errors.Is(err, retention.ErrRunning) {
			t.Fatalf("Erase() = %v, want %v", err, retention.ErrRunning)
		}
		equal(t, "erasures", r.Count(t, "SELECT count(*) FROM erasures"), 0)
		equal(t, "bodies", r.bodies(t), []string{"job"})
		go func() {
			<-time.After(10 * time.Millisecond) // Erase waits by then, or begins afterwards
			_, _ = r.DB.Writer.ExecContext(context.WithoutCancel(t.Context()), "UPDATE steps SET state = 'done'")
		}()
		got, err := service.Erase(t.Context(), "job", true)
		if err != nil || got.Events != 1 {
			t.Errorf("Erase() after the end of the step = %+v, %v; want 1 event", got, err)
		}
	})
}

// An erasure goes to its end, whatever it was interrupted by.
func TestErasureIsResumed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := open(t, place)
		r.accept(t, "job")
		r.relay(t)
		r.storeFile(t, "job", "2026/job/a.png")
		files := &bucket{down: errCrash}
		if _, err := r.withBucket(retention.Config{}, crashing{r.Inbox}, files).Erase(t.Context(), "job", true); !errors.Is(err, errCrash) {
			t.Fatalf("Erase() = %v, want %v", err, errCrash)
		}
		equal(t, "events after the crash", r.jobs(t), []string{"job"})
		restarted := r.withBucket(retention.Config{}, r.Inbox, files)
		r.confirm(t)
		drain(t, restarted)
		equal(t, "events", len(r.jobs(t)), 0)
		equal(t, "files that wait for their bucket", r.Count(t, "SELECT count(*) FROM removed_files"), 1)
		files.down = nil
		drain(t, restarted)
		equal(t, "deleted files", files.deleted, []string{"2026/job/a.png"})
		equal(t, "traces", r.traces(t, "job"), 0)
	})
}

// The relay carries an event of the job between the two looks of an erasure. It does not stay.
func TestErasureFindsWhatWasRelayedMeanwhile(t *testing.T) {
	t.Parallel()
	r := open(t, databasetest.NewPlace(t, database.SQLite))
	r.accept(t, "job")
	entries, err := r.Inbox.Unrelayed(t.Context(), 10) // the relay has read it
	if err != nil {
		t.Fatal(err)
	}
	service := r.withBucket(retention.Config{}, r.Inbox, &bucket{})
	if _, err := service.Erase(t.Context(), "job", false); err != nil {
		t.Fatal(err)
	}
	r.addEntries(t, entries)
	equal(t, "events", r.jobs(t), []string{"job"})
	r.confirm(t)
	drain(t, service)
	equal(t, "events after the second look", len(r.jobs(t)), 0)
}

// Files that a bucket refuses hold up neither those of another handler nor the other ones in the bucket.
func TestRefusedFilesHoldUpNoOthers(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := open(t, place)
		insert := func(handler, key string, removed int) {
			r.Exec(t, "INSERT INTO removed_files (handler, key, job, sha256, removed_at) VALUES ($1, $2, 'job', '', $3)", handler, key, removed)
		}
		for n := range 60 {
			insert("disabled", fmt.Sprint("disabled/job/", n), n)
			insert("download", fmt.Sprint("locked/job/", n), n)
		}
		insert("download", "job/a.png", 100)
		insert("upload", "job/b.png", 100)
		files := &bucket{}
		refusing := func(ctx context.Context, artifact event.Artifact) error {
			if artifact.Handler == "disabled" || strings.HasPrefix(artifact.Key, "locked/") {
				return errCrash
			}
			return files.delete(ctx, artifact)
		}
		service := retention.New(retention.Config{}, retention.Deps{Store: r.store, Inbox: r.Inbox, DeleteFile: refusing, Log: zerolog.Nop()})
		drain(t, service)
		drain(t, service)
		slices.Sort(files.deleted)
		equal(t, "deleted files", files.deleted, []string{"job/a.png", "job/b.png"})
		equal(t, "files that stay", r.Count(t, "SELECT count(*) FROM removed_files"), 120)

		r.accept(t, "job")
		got, err := service.Erase(t.Context(), "job", true)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "erased", got, retention.Erased{Job: "job", Events: 1, Pending: 120, Finished: true})
	})
}

func TestImagesAge(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		r := open(t, place)
		for _, job := range []string{"gone", "old", "new"} {
			r.accept(t, job)
		}
		r.relay(t)
		for _, job := range []string{"gone", "old", "new"} {
			r.storeFile(t, job, "2026/"+job+"/a.png")
			r.storeFile(t, job, "same.png")
		}
		r.set(t, "old", event.Done, 40)
		r.set(t, "gone", event.Done, 70)
		r.set(t, "new", event.Done, 1)
		files := &bucket{}
		drain(t, r.withBucket(retention.Config{Images: age, Events: 2 * age}, r.Inbox, files))
		slices.Sort(files.deleted)
		equal(t, "deleted files", files.deleted, []string{"2026/gone/a.png", "2026/old/a.png"})
		equal(t, "events", r.jobs(t), []string{"new", "old"})
		equal(t, "artifacts", r.Count(t, "SELECT count(*) FROM artifacts"), 2)
	})
}

// Callbacks are accepted about as fast while many events are removed.
func TestAcceptBesideRemoval(t *testing.T) {
	t.Parallel()
	r := open(t, databasetest.NewPlace(t, database.SQLite))
	var group sync.WaitGroup
	for worker := range 32 {
		group.Go(func() {
			for n := range 100 {
				_, _ = r.Inbox.Accept(context.WithoutCancel(t.Context()), callback(fmt.Sprint("old-", worker, "-", n)))
			}
		})
	}
	group.Wait()
	r.relay(t)
	old := time.Now().AddDate(0, 0, -40).UnixMicro()
	r.Exec(t, "UPDATE steps SET state = 'done', changed_at = $1", old)
	r.Exec(t, "UPDATE events SET state = 'done', received_at = $1", old)
	measure := func(name string) time.Duration {
		var times []time.Duration
		for n := range 200 {
			begun := time.Now()
			r.accept(t, fmt.Sprint(name, n))
			times = append(times, time.Since(begun))
		}
		slices.Sort(times)
		return times[len(times)*9/10]
	}
	alone := measure("alone")
	service := r.retention(retention.Config{Events: age}, r.Inbox)
	service.Start()
	beside := measure("beside")
	if err := service.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	left := r.Count(t, "SELECT count(*) FROM events WHERE received_at < $1", old+1)
	t.Logf("p90 alone %s, beside removal %s; %d of 3200 old events left", alone, beside, left)
	if left == 3200 {
		t.Error("nothing was removed meanwhile, want some")
	}
	if beside > 5*alone+20*time.Millisecond {
		t.Errorf("p90 beside removal = %s, alone %s; want at most 5 times as long", beside, alone)
	}
}
