package main_test

import (
	"context"
	"database/sql"
	"flag"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// The run is of 2,000 jobs with "make proof"; every day fewer have to do.
var proofJobs = flag.Int("proof-jobs", 120, "jobs of TestKilledWhileCallbacksGetLost")

const (
	trustKills = 3
	// callsPerJob is how many look-ups a job may cost on average, as without a kill.
	callsPerJob = 1.5
	// callsPerForgery is what a forged callback may cost within trustGrace, the time in which its job may be unknown yet.
	callsPerForgery = 2 * callsPerJob
	trustGrace      = "4s"
	// callsPerKill is what is asked once more after a kill, which takes the answers that were remembered and those under way.
	callsPerKill = 30
)

// The receiver is killed in the middle of a run in which callbacks get lost, doubled and forged and the API fails: every
// real job ends done once, and no forged image is fetched.
func TestKilledWhileCallbacksGetLost(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, killWhileCallbacksGetLost)
}

func killWhileCallbacksGetLost(t *testing.T, place *databasetest.Place) {
	t.Helper()
	vendor := startVendor(t, fakevendortest.Options{Timeout: 5 * time.Second})
	if err := vendor.Flap(fakevendortest.Flapping{Seed: 7, Fail: 0.05, Drop: 0.05}); err != nil {
		t.Fatal(err)
	}
	folder, address := t.TempDir(), testkit.FreeAddress(t)
	env := []string{
		"RECEIVER_LISTEN_ADDR=" + address, "RECEIVER_ADMIN_ADDR=" + testkit.FreeAddress(t), "RECEIVER_DEEPIMAGE_API_KEY=" + vendor.APIKey(), "RECEIVER_DEEPIMAGE_URL=" + vendor.APIURL(),
		"RECEIVER_DEEPIMAGE_CALLS_PER_SECOND=1000", "RECEIVER_DEEPIMAGE_UNKNOWN_PER_MINUTE=10000", "RECEIVER_RECONCILE_AFTER=2s",
		"RECEIVER_DEEPIMAGE_UNKNOWN_GRACE=" + trustGrace,
		"RECEIVER_DATA_DIR=" + folder, "RECEIVER_WEBHOOK_TOKENS=" + crashToken,
	}
	if place.Kind == database.Postgres { // what a dead replica had in hand is taken up when its lease is over
		env = append(env, "RECEIVER_DATABASE_URL="+place.Config.URL.Reveal(), "RECEIVER_QUEUE_LEASE="+replicaLease.String())
	} else {
		place.Folder = folder
	}
	var jobs []fakevendortest.Job
	var ids []string
	for n := range *proofJobs {
		job, err := vendor.NewJob(fakevendortest.JobOptions{Width: 16, Height: 12, Seed: uint64(1 + n%4)})
		if err != nil {
			t.Fatal(err)
		}
		jobs, ids = append(jobs, job), append(ids, job.ID)
	}
	p := serve(t, folder, env...)
	run(t, env, append([]string{"jobs", "track"}, ids...)...).expect(t, 0)
	deliveries := make(chan []fakevendortest.Delivery, 1)
	ctx, cancel := context.WithTimeout(t.Context(), trustWait())
	defer cancel()
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		deliveries <- vendor.Deliver(ctx, p.webhook(), fakevendortest.Plan{
			Attempts: 20, Concurrency: min(8+*proofJobs/40, 64), Shuffle: 3,
			Chances: fakevendortest.Chances{Seed: 7, Lose: 0.2, Double: 0.2, Delay: 0.3, MaxDelay: 3 * time.Second, Forge: 0.05, Impersonate: 0.05},
		}, jobs...)
	})
	for range trustKills {
		running := time.NewTimer(500*time.Millisecond + rand.N(time.Second))
		<-running.C
		p.kill()
		p = serve(t, folder, env...)
	}
	sent := <-deliveries
	stores := place.Open(t)
	waitUntilTrusted(t, stores, p)
	checkTrusted(t, stores.Work.Reader, vendor, jobs, sent)
	if key := vendor.APIKey(); strings.Contains(p.command.String(), key) {
		t.Error("command line has the API key, want it absent")
	}
	p.kill()
	if strings.Contains(p.log.String(), vendor.APIKey()) {
		t.Error("log has the API key, want it redacted")
	}
}

// trustWait bounds one run.
func trustWait() time.Duration { return crashWait + time.Duration(*proofJobs)*50*time.Millisecond }

// waitUntilTrusted waits until every tracked job is resolved and no work is pending.
func waitUntilTrusted(t *testing.T, stores databasetest.Stores, p *process) {
	t.Helper()
	inbox, work := stores.Inbox.Reader, stores.Work.Reader
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(2 * trustWait()) // with Postgres, the leases of killed replicas expire first
	for {
		waiting, expected := count(t, inbox, "SELECT count(*) FROM outbox"), count(t, work, "SELECT count(*) FROM tracked_jobs WHERE resolved_at IS NULL")
		open := count(t, work, "SELECT count(*) FROM events WHERE state NOT IN ('done', 'dead', 'quarantined')")
		if expected == 0 && waiting == 0 && open == 0 && count(t, inbox, "SELECT count(*) FROM callbacks") == count(t, work, "SELECT count(*) FROM events") {
			return
		}
		select {
		case <-look.C:
		case <-p.exited:
			t.Fatalf("receiver exited with %v, want it running\n%s", p.err, p.log)
		case <-deadline:
			t.Fatalf("events in the inbox = %d, events not done = %d, open tracked jobs = %d, want 0 of each", waiting, open, expected)
		}
	}
}

func checkTrusted(t *testing.T, work *sql.DB, vendor *fakevendortest.Vendor, jobs []fakevendortest.Job, sent []fakevendortest.Delivery) {
	t.Helper()
	if dead := count(t, work, "SELECT count(*) FROM events WHERE state = 'dead'"); dead != 0 {
		t.Errorf("dead events = %d, want 0", dead)
	}
	for _, job := range jobs {
		var events int
		var sum string
		err := work.QueryRowContext(t.Context(), `SELECT count(*), max(sha256) FROM events JOIN artifacts ON event_id = id
			WHERE job = $1 AND state = 'done' AND artifacts.position = 0`, job.ID).Scan(&events, &sum)
		if err != nil || events != 1 || sum != job.Images[0].SHA256 {
			t.Errorf("job %s: images = %d, SHA-256 = %q, error %v, want 1 and %s", job.ID, events, sum, err, job.Images[0].SHA256)
		}
	}
	lost, forged := 0, 0
	for _, d := range sent {
		switch {
		case d.Lost:
			lost++
		case d.Err != nil:
			t.Errorf("delivery of the callback of %s = %v, want no error", d.Job.ID, d.Err)
		case d.Forged:
			forged++
			if vendor.Requests(d.Job.ResultURL) != 0 {
				t.Errorf("requests for the forged image of %s = %d, want 0", d.Job.ID, vendor.Requests(d.Job.ResultURL))
			}
		}
	}
	calls := vendor.Calls(fakevendortest.CallResult)
	t.Logf("%d jobs, %d callbacks lost, %d forged: %d look-ups", len(jobs), lost, forged, calls)
	if bound := int64(callsPerJob*float64(len(jobs))+callsPerForgery*float64(forged)) + trustKills*callsPerKill; calls > bound {
		t.Errorf("look-ups = %d, want at most %d", calls, bound)
	}
	if lost == 0 {
		t.Error("lost callbacks = 0, want some")
	}
}
