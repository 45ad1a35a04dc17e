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
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

const (
	s3Variable    = "BLOBSTORE_TEST_S3_URL"
	replicaLease  = 2 * time.Second
	replicaPause  = 2 * replicaLease // longer than any lease
	replicaPhase  = time.Second      // of load between two faults
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

// Three replicas share one database and one bucket under load. One is killed, one paused for longer than its lease,
// and the database crashes and restarts. Every acknowledged event is done once, with a complete image.
func TestReplicasLoseNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	vendor := startVendor(t, fakevendortest.Options{Timeout: 10 * time.Second})
	replicas := startTogether(t, c, 3)
	acked := &acknowledged{jobs: map[string]fakevendortest.Job{}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var senders sync.WaitGroup
	for _, p := range replicas {
		for range replicaSender {
			senders.Go(func() { acked.load(ctx, t, vendor, p.webhook()) })
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
			t.Errorf("exit after SIGTERM = %v, want 0\n%s", p.err, p.log)
		}
	}
	t.Logf("%d acknowledged events; one of three replicas killed, one paused for %s, the database crashed; all done %s after the last callback; %d stale outcomes refused",
		len(acked.jobs), replicaPause, drained.Round(100*time.Millisecond), strings.Count(paused.log.String(), "result refused"))
	c.check(t, acked.jobs)
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

// after waits while the load continues.
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

// drained waits until no work is pending.
func (c *cluster) drained(t *testing.T) {
	t.Helper()
	c.until(t, "no pending work", func() bool {
		return count(t, c.work, "SELECT count(*) FROM outbox") == 0 && count(t, c.work, "SELECT count(*) FROM events WHERE state <> 'done'") == 0
	})
}

// until waits until ok returns true.
func (c *cluster) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(crashWait)
	for !ok() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("want %s; got %d events in the inbox and %d that are not done", what,
				count(t, c.work, "SELECT count(*) FROM outbox"), count(t, c.work, "SELECT count(*) FROM events WHERE state <> 'done'"))
		}
	}
}

func (c *cluster) check(t *testing.T, acked map[string]fakevendortest.Job) {
	t.Helper()
	events := count(t, c.work, "SELECT count(*) FROM events")
	if accepted := count(t, c.work, "SELECT count(*) FROM callbacks"); accepted != events {
		t.Errorf("events in the work store = %d, want %d as in the inbox", events, accepted)
	}
	if jobs := count(t, c.work, "SELECT count(DISTINCT job) FROM events"); jobs != events {
		t.Errorf("events = %d, want %d, one for each job", events, jobs)
	}
	if done := count(t, c.work, "SELECT count(*) FROM attempts WHERE outcome = 'done'"); done != events {
		t.Errorf("successful attempts = %d, want %d, one for each event", done, events)
	}
	sums := c.objects(t)
	for id, job := range acked {
		var state, key, sum string
		err := c.work.QueryRowContext(t.Context(), `SELECT state, key, sha256 FROM events JOIN artifacts ON event_id = id
			WHERE id = $1 AND artifacts.position = 0`, id).Scan(&state, &key, &sum)
		if err != nil || state != "done" || sum != job.Images[0].SHA256 || sums[key] != sum {
			t.Errorf("event %s: state = %q, SHA-256 = %s, of the object %s, error %v, want done and %s", id, state, sum, sums[key], err, job.Images[0].SHA256)
		}
	}
	if want := 2 * events; len(sums) != want || count(t, c.work, "SELECT count(*) FROM artifacts") != want {
		t.Errorf("objects = %d, want %d, two for each event", len(sums), want)
	}
}

// objects returns the SHA-256 of every object of the bucket that is an artifact, by key.
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
			t.Errorf("open %s: error %v, want none", key, err)
			continue
		}
		hash := sha256.New()
		_, err = io.Copy(hash, object)
		if sums[key] = hex.EncodeToString(hash.Sum(nil)); err != nil || object.Close() != nil || sums[key] != sum {
			t.Errorf("SHA-256 of %s = %s, want %s; error %v", key, sums[key], sum, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sums
}

// A replica is paused during a step for longer than its lease. Another replica does the step, so the outcome of the
// first one is refused.
func TestOutcomeOfPausedReplicaIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.env = append(c.env, "RECEIVER_FETCH_STALL_TIMEOUT=1s")
	vendor := startVendor(t, fakevendortest.Options{})
	job, err := vendor.NewJob(fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Stall, Percent: 50, Times: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	other := c.serve(t)
	// The other replica must be the leader: the queue needs 15 seconds to replace one.
	c.until(t, "a leader", func() bool { return count(t, c.work, "SELECT count(*) FROM river_leader") == 1 })
	signal(t, other, syscall.SIGSTOP)
	paused := c.serve(t)
	answer, err := vendor.Send(t.Context(), paused.webhook(), vendor.Callback(job, paused.webhook()))
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("answer = %+v, error %v, want 200", answer, err)
	}
	c.until(t, "a transfer", func() bool { return vendor.Requests(job.ResultURL) > 0 })
	signal(t, paused, syscall.SIGSTOP)
	signal(t, other, syscall.SIGCONT)
	c.until(t, "one event that is done", func() bool { return count(t, c.work, "SELECT count(*) FROM events WHERE state = 'done'") == 1 })
	signal(t, paused, syscall.SIGCONT)
	for _, p := range []*process{paused, other} {
		signal(t, p, syscall.SIGTERM) // running steps finish first
		<-p.exited
	}
	if got := strings.Count(paused.log.String(), "result refused"); got != 1 {
		t.Errorf("refused outcomes = %d, want 1:\n%s", got, paused.log)
	}
	if attempts, done := count(t, c.work, "SELECT count(*) FROM attempts"), count(t, c.work, "SELECT count(*) FROM attempts WHERE outcome = 'done'"); attempts != 2 || done != 1 {
		t.Errorf("attempts = %d, of which done = %d, want 2 and 1", attempts, done)
	}
	if sums := c.objects(t); len(sums) != 2 {
		t.Errorf("objects = %v, want 2", sums)
	}
}
