//go:build linux && torture

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/loadtest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

var (
	rounds = flag.Int("rounds", 20, "rounds of the tests that kill or cut the power")
	seed   = flag.Uint64("torture-seed", 0, "seed of all that is drawn by lot; 0 draws one")
)

const (
	tortureToken = "torture-token-0123456789"
	drainLimit   = 3 * time.Minute
	senders      = 4
	// extraDescriptors and extraGoroutines may remain of connections that are still open.
	extraDescriptors, extraGoroutines = 24, 48
	maxMemory                         = 256 << 20 // bytes
	healsAfter                        = 4         // attempts of a step that fails until it is replayed
)

// torture is a receiver that a test maltreats.
type torture struct {
	vendor   *fakevendortest.Vendor
	ledger   *loadtest.Ledger
	random   *rand.Rand
	mutex    sync.Mutex // of random
	data     string     // data folder
	images   string
	env      []string
	log      testkit.Log
	receiver *loadtest.Receiver
	since    time.Time
}

func newTorture(t *testing.T, env ...string) *torture {
	t.Helper()
	vendor, err := fakevendortest.Start(t.Context(), fakevendortest.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vendor.Close() })
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64()
	}
	t.Logf("seed %d", drawn)
	o := &torture{
		vendor: vendor, ledger: loadtest.NewLedger(), random: rand.New(rand.NewPCG(drawn, 0)),
		data: filepath.Join(t.TempDir(), "data"), since: time.Now().Add(-time.Second),
		env: append([]string{"RECEIVER_RETRY_MAX_DELAY=1s", "RECEIVER_RETRY_MAX_ATTEMPTS=3", "RECEIVER_FETCH_STALL_TIMEOUT=5s"}, env...),
	}
	o.images = filepath.Join(o.data, "images")
	t.Cleanup(func() {
		if o.receiver != nil {
			o.receiver.Kill()
		}
		if t.Failed() {
			path := filepath.Join(t.ArtifactDir(), "receiver.log") // kept with -artifacts
			t.Logf("log of the receiver: %s, %v", path, os.WriteFile(path, []byte(o.log.String()), 0o600))
		}
	})
	return o
}

func (o *torture) settings() loadtest.Settings {
	return loadtest.Settings{
		Command: exec.Command(receiver, "serve"), Folder: o.data, Token: tortureToken, Env: o.env, Log: &o.log,
	}
}

// start starts the receiver and waits until it is ready.
func (o *torture) start(t *testing.T) {
	t.Helper()
	var err error
	if o.receiver, err = loadtest.Start(t.Context(), o.settings()); err != nil {
		t.Fatalf("start: error = %v, want none\n%s", err, lastLines(o.log.String()))
	}
}

func lastLines(text string) string { return text[max(0, len(text)-3000):] }

// intN returns a number from 0 to n-1.
func (o *torture) intN(n int) int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.random.IntN(n)
}

func (o *torture) upTo(d time.Duration) time.Duration { return time.Duration(o.intN(int(d))) }

// pause waits while the load continues.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	if err := background.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// during sends callbacks of new jobs while do runs.
func (o *torture) during(t *testing.T, do func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	webhook := o.receiver.Webhook()
	for range senders {
		group.Go(func() { o.send(ctx, t, webhook) })
	}
	do()
	stop()
}

// send sends callbacks until the context ends, some twice.
func (o *torture) send(ctx context.Context, t *testing.T, webhook string) {
	for ctx.Err() == nil {
		job, err := o.vendor.NewJob(o.job())
		if err != nil {
			t.Error(err)
			return
		}
		o.ledger.Send(job)
		body := o.vendor.Callback(job, webhook)
		for range 1 + o.intN(2) {
			if answer, err := o.vendor.Send(ctx, webhook, body); err == nil {
				o.ledger.Answer(answer.Status, answer.Body)
			}
		}
		_ = background.Sleep(ctx, time.Millisecond+o.upTo(10*time.Millisecond)) // the receiver has a machine beside others
	}
}

// job is a job with a small image. Some transfers are slow, break, or fail until the step is dead.
func (o *torture) job() fakevendortest.JobOptions {
	options := fakevendortest.JobOptions{Width: 120, Height: 80, Seed: 1 + uint64(o.intN(8)), Format: fakevendortest.PNG}
	switch o.intN(20) {
	case 0:
		options.Bytes = 1 << 20
		options.Faults = []fakevendortest.Fault{{Kind: fakevendortest.Slow, Times: 2, Pause: 20 * time.Millisecond}}
	case 1, 2:
		options.Faults = []fakevendortest.Fault{{Kind: fakevendortest.Break, Times: 1, Percent: 50}}
	case 3:
		options.Faults = []fakevendortest.Fault{{Kind: fakevendortest.Page, Times: healsAfter}}
	}
	return options
}

func (o *torture) admin(t *testing.T) *adminclient.Client {
	t.Helper()
	admin, err := adminclient.New(adminclient.Options{URL: "http://" + o.receiver.Admin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	return admin
}

// finish waits until all is processed, replays what is dead, compares everything, and stops the receiver.
func (o *torture) finish(t *testing.T) loadtest.Comparison {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), drainLimit)
	defer cancel()
	admin := o.admin(t)
	var found loadtest.Comparison
	for {
		if err := o.receiver.Drain(ctx, 0); err != nil {
			t.Errorf("drain: error = %v, want none\n%s", err, lastLines(o.log.String()))
		}
		var err error
		found, err = loadtest.Reconcile(t.Context(), loadtest.Stores{Admin: admin, Images: o.images, Since: o.since}, o.ledger)
		if err != nil {
			t.Fatal(err)
		}
		if found.Perfect() || ctx.Err() != nil || found.Open+found.Dead == 0 {
			break
		}
		if found.Dead > 0 {
			if _, err := admin.ReplayAll(t.Context(), url.Values{}, false); err != nil {
				t.Errorf("replay: error = %v, want none", err)
			}
		}
		pause(t, time.Second)
	}
	if !found.Perfect() {
		t.Errorf("comparison = %+v, want every event done once with the right files", found)
	}
	o.checkResources(t)
	if err := o.receiver.Stop(); err != nil {
		t.Errorf("exit after SIGTERM: %v, want 0\n%s", err, lastLines(o.log.String()))
	}
	if leaks := o.receiver.Leaks(); leaks > 0 {
		t.Errorf("lines of the log with the token = %d, want 0", leaks)
	}
	t.Logf("%d acknowledged, %d events, all done, %d files", found.Acknowledged, found.Events, found.Files)
	return found
}

// checkResources compares an idle receiver with one that has just been started.
func (o *torture) checkResources(t *testing.T) {
	t.Helper()
	fresh := &torture{vendor: o.vendor, data: filepath.Join(t.TempDir(), "data")}
	fresh.start(t)
	want, err := fresh.receiver.Metrics(t.Context())
	if err := fresh.receiver.Stop(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	const descriptors, goroutines, memory = "process_open_fds", "go_goroutines", "process_resident_memory_bytes"
	got := testkit.WaitFor(t, fmt.Sprintf("about %v descriptors and %v goroutines", want[descriptors], want[goroutines]),
		func() (loadtest.Metrics, error) { return o.receiver.Metrics(t.Context()) }, func(got loadtest.Metrics) bool {
			return got[descriptors] <= want[descriptors]+extraDescriptors && got[goroutines] <= want[goroutines]+extraGoroutines
		})
	if got[memory] > maxMemory {
		t.Errorf("memory = %v bytes, want at most %d", got[memory], maxMemory)
	}
	t.Logf("descriptors %v (fresh %v), goroutines %v (%v), memory %.0f MiB (%.0f)", got[descriptors], want[descriptors], got[goroutines],
		want[goroutines], got[memory]/(1<<20), want[memory]/(1<<20))
}

// TestTortureKill kills the process at random moments: in its first start with all migrations, in later starts, under load, in the
// orderly stop, in a bulk replay, and in the middle of transfers that continue later.
func TestTortureKill(t *testing.T) {
	t.Parallel()
	o := newTorture(t)
	counts := map[string]int{}
	for range *rounds {
		moment := []string{"migration", "start", "load", "drain", "replay"}[o.intN(5)]
		counts[moment]++
		switch moment {
		case "migration":
			o.killMigration(t)
		case "start":
			o.launch(t, o.settings(), o.upTo(400*time.Millisecond))
		default:
			o.start(t)
			o.kill(t, moment)
		}
	}
	t.Logf("kills: %v", counts)
	o.start(t)
	o.finish(t)
}

// launch kills a receiver that long after its start.
func (o *torture) launch(t *testing.T, settings loadtest.Settings, after time.Duration) {
	t.Helper()
	started, _, err := loadtest.Launch(settings)
	if err != nil {
		t.Fatal(err)
	}
	pause(t, after)
	started.Kill()
}

// killMigration kills a receiver in its first start, and then starts it to the end.
func (o *torture) killMigration(t *testing.T) {
	t.Helper()
	settings := o.settings()
	settings.Folder = filepath.Join(t.TempDir(), "data")
	o.launch(t, settings, o.upTo(300*time.Millisecond))
	settings.Command = exec.Command(receiver, "serve")
	again, err := loadtest.Start(t.Context(), settings)
	if err != nil {
		t.Fatalf("start after a kill in a migration: error = %v, want none\n%s", err, lastLines(o.log.String()))
	}
	if err := again.Stop(); err != nil {
		t.Errorf("exit after SIGTERM: %v, want 0", err)
	}
}

func (o *torture) kill(t *testing.T, moment string) {
	t.Helper()
	o.during(t, func() {
		pause(t, 20*time.Millisecond+o.upTo(400*time.Millisecond))
		switch moment {
		case "drain":
			_ = o.receiver.Signal(syscall.SIGTERM)
			pause(t, o.upTo(100*time.Millisecond))
		case "replay":
			_, _ = o.admin(t).ReplayAll(t.Context(), url.Values{}, false) // there may be nothing dead
			pause(t, o.upTo(50*time.Millisecond))
		}
		o.receiver.Kill()
	})
}

// fill writes a file until there is no space.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		return // there is no inode
	}
	defer file.Close()
	for size := 1 << 20; size > 0; {
		if n, err := file.Write(make([]byte, size)); err != nil || n < size {
			size /= 2
		}
	}
}
