package main_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

const (
	s3Variable    = "BLOBSTORE_TEST_S3_URL"
	replicaLease  = 2 * time.Second
	replicaPause  = 2 * replicaLease // longer than any lease
	replicaPhase  = time.Second      // of load between two blows
	replicaSender = 2                // senders to each replica
)

// cluster is a few receivers on one Postgres and one bucket.
type cluster struct {
	server *databasetest.Server
	work   *sql.DB
	bucket blobstore.Bucket
	env    []string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	databasetest.NeedPostgres(t)
	server, err := databasetest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	bucketURL := s3Bucket(t)
	bucket, err := blobstore.Open(t.Context(), bucketURL, blobstore.WithSpoolFolder(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	url := server.URL("postgres")
	opened, err := database.OpenServer(t.Context(), databasetest.ConfigOf(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return &cluster{server: server, work: opened.Work.Reader, bucket: bucket, env: []string{
		"RECEIVER_DATABASE_URL=" + url, "RECEIVER_DATABASE_MAX_CONNECTIONS=16", "RECEIVER_QUEUE_LEASE=" + replicaLease.String(),
		"RECEIVER_DOWNLOAD_BUCKET_URL=" + bucketURL,
		"AWS_ACCESS_KEY_ID=" + os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}}
}

// s3Bucket is a new place in the real S3 server that .ci/with-object-stores starts, or else in one in this process.
func s3Bucket(t *testing.T) string {
	t.Helper()
	if os.Getenv(s3Variable) != "" {
		return blobstoretest.Outside(t, s3Variable)
	}
	service, err := blobstoretest.S3()
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(service)
	t.Cleanup(listener.Close)
	return blobstoretest.S3URL(listener.URL, strings.ToLower(rand.Text()))
}

func (c *cluster) serve(t *testing.T) *process {
	t.Helper()
	return serve(t, t.TempDir(), c.env...)
}

// Three replicas on one database and one bucket, under load: one is killed, one paused beyond its lease,
// and the database crashes and comes back. Every event that was acknowledged ends done, once, with its image whole.
func TestReplicasLoseNothingAndDoubleNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	vendor, err := fakevendor.Start(t.Context(), fakevendor.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = vendor.Close() }()
	replicas := startTogether(t, c, 3)
	told := &acknowledged{jobs: map[string]fakevendor.Job{}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var senders sync.WaitGroup
	for _, p := range replicas {
		for range replicaSender {
			senders.Go(func() { told.load(ctx, t, vendor, p.webhook()) })
		}
	}
	killed, paused := replicas[0], replicas[1]
	after(t, replicaPhase)
	killed.kill()
	after(t, replicaPhase)
	signal(t, paused, syscall.SIGSTOP)
	after(t, replicaPause/2)
	if err := c.server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	after(t, replicaPause/2)
	signal(t, paused, syscall.SIGCONT)
	after(t, replicaPhase)
	stop()
	senders.Wait()
	begun := time.Now()
	c.drained(t)
	drained := time.Since(begun)
	for _, p := range replicas[1:] {
		signal(t, p, syscall.SIGTERM)
		<-p.exited
		if p.err != nil {
			t.Errorf("told to stop, it ended with %v\n%s", p.err, p.log)
		}
	}
	t.Logf("%d acknowledged events; one of three replicas killed, one paused for %s, the database crashed; all done %s after the last callback; %d stale outcomes refused",
		len(told.jobs), replicaPause, drained.Round(100*time.Millisecond), strings.Count(paused.log.String(), "outcome refused"))
	c.check(t, told.jobs)
}

// startTogether starts replicas at the same moment on a database without a schema.
func startTogether(t *testing.T, c *cluster, n int) []*process {
	t.Helper()
	replicas := make([]*process, n)
	var group sync.WaitGroup
	for i := range replicas {
		group.Go(func() { replicas[i] = c.serve(t) })
	}
	group.Wait()
	for _, p := range replicas {
		if p == nil {
			t.FailNow()
		}
	}
	return replicas
}

// after lets the load go on for a while.
func after(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func signal(t *testing.T, p *process, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Error(err)
	}
}

// drained waits until nothing is left to do.
func (c *cluster) drained(t *testing.T) {
	t.Helper()
	c.until(t, "nothing left to do", func() bool {
		return count(t, c.work, "SELECT count(*) FROM outbox") == 0 && count(t, c.work, "SELECT count(*) FROM events WHERE state <> 'done'") == 0
	})
}

// until waits for what has to come.
func (c *cluster) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(crashWait)
	for !ok() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("it never came: %s; %d events wait in the inbox, %d are not done", what,
				count(t, c.work, "SELECT count(*) FROM outbox"), count(t, c.work, "SELECT count(*) FROM events WHERE state <> 'done'"))
		}
	}
}

func (c *cluster) check(t *testing.T, told map[string]fakevendor.Job) {
	t.Helper()
	events := count(t, c.work, "SELECT count(*) FROM events")
	if accepted := count(t, c.work, "SELECT count(*) FROM callbacks"); accepted != events {
		t.Errorf("%d events were stored, %d worked on", accepted, events)
	}
	if jobs := count(t, c.work, "SELECT count(DISTINCT job) FROM events"); jobs != events {
		t.Errorf("%d jobs became %d events", jobs, events)
	}
	if done := count(t, c.work, "SELECT count(*) FROM attempts WHERE outcome = 'done'"); done != events {
		t.Errorf("%d events were done %d times", events, done)
	}
	sums := c.objects(t)
	for id, job := range told {
		var state, key, sum string
		err := c.work.QueryRowContext(t.Context(), `SELECT state, key, sha256 FROM events JOIN artifacts ON event_id = id
			WHERE id = $1 AND artifacts.position = 0`, id).Scan(&state, &key, &sum)
		if err != nil || state != "done" || sum != job.Images[0].SHA256 || sums[key] != sum {
			t.Errorf("event %s of job %s: state %q, sum %q, object %q, error %v", id, job.ID, state, sum, sums[key], err)
		}
	}
	if want := 2 * events; len(sums) != want || count(t, c.work, "SELECT count(*) FROM artifacts") != want {
		t.Errorf("%d events left %d objects", events, len(sums))
	}
}

// objects reads every artifact out of the bucket and gives the SHA-256 of what it holds, by key.
func (c *cluster) objects(t *testing.T) map[string]string {
	t.Helper()
	rows, err := c.work.QueryContext(t.Context(), "SELECT key, sha256 FROM artifacts")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	sums := map[string]string{}
	for rows.Next() {
		var key, sum string
		if err := rows.Scan(&key, &sum); err != nil {
			t.Fatal(err)
		}
		object, err := c.bucket.Open(t.Context(), key)
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		hash := sha256.New()
		_, err = io.Copy(hash, object)
		if sums[key] = hex.EncodeToString(hash.Sum(nil)); err != nil || object.Close() != nil || sums[key] != sum {
			t.Errorf("%s holds %s, want %s; error %v", key, sums[key], sum, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sums
}

// A replica that is paused in the middle of a step for longer than its lease finds, when it wakes, that another
// has done the step: its own outcome is refused.
func TestPausedReplicaIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.env = append(c.env, "RECEIVER_FETCH_STALL_TIMEOUT=1s")
	vendor, err := fakevendor.Start(t.Context(), fakevendor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = vendor.Close() }()
	job, err := vendor.NewJob(fakevendor.JobOptions{Faults: []fakevendor.Fault{{Kind: fakevendor.Stall, Percent: 50, Times: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	other := c.serve(t)
	// The one that stays leads: to find out that a leader is gone takes the queue a quarter of a minute.
	c.until(t, "it leads", func() bool { return count(t, c.work, "SELECT count(*) FROM river_leader") == 1 })
	signal(t, other, syscall.SIGSTOP)
	paused := c.serve(t)
	answer, err := vendor.Send(t.Context(), paused.webhook(), vendor.Callback(job, paused.webhook()))
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("answer %+v, error %v", answer, err)
	}
	c.until(t, "the transfer has begun", func() bool { return vendor.Requests(job.ResultURL) > 0 })
	signal(t, paused, syscall.SIGSTOP)
	signal(t, other, syscall.SIGCONT)
	c.until(t, "another replica has done it", func() bool { return count(t, c.work, "SELECT count(*) FROM events WHERE state = 'done'") == 1 })
	signal(t, paused, syscall.SIGCONT)
	for _, p := range []*process{paused, other} {
		signal(t, p, syscall.SIGTERM) // a step that is under way comes to its end first
		<-p.exited
	}
	if got := strings.Count(paused.log.String(), "outcome refused"); got != 1 {
		t.Errorf("%d outcomes were refused:\n%s", got, paused.log)
	}
	if attempts, done := count(t, c.work, "SELECT count(*) FROM attempts"), count(t, c.work, "SELECT count(*) FROM attempts WHERE outcome = 'done'"); attempts != 2 || done != 1 {
		t.Errorf("%d attempts, of which %d are done", attempts, done)
	}
	if sums := c.objects(t); len(sums) != 2 {
		t.Errorf("objects: %v", sums)
	}
}
