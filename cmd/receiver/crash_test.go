package main_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

const (
	crashRounds  = 20
	crashSenders = 8
	crashToken   = "crash-token-0123456789"
	crashWait    = time.Minute
)

// process is a receiver that a test started as a process of its own.
type process struct {
	command *exec.Cmd
	address string
	admin   string
	log     *testkit.Log // complete when exited is closed
	exited  chan struct{}
	err     error
}

// addresses are those of the listeners.
type addresses struct{ Address, Admin string }

// startVendor starts a fake Deep Image until the test ends.
func startVendor(t *testing.T, options fakevendortest.Options) *fakevendortest.Vendor {
	t.Helper()
	vendor, err := fakevendortest.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vendor.Close() })
	return vendor
}

// serve starts the receiver on folder and waits until it is ready.
func serve(t *testing.T, folder string, env ...string) *process {
	t.Helper()
	return serveCommand(t, exec.Command(binary(t), "serve"), folder, env...)
}

// serveCommand is serve with another command.
func serveCommand(t *testing.T, command *exec.Cmd, folder string, env ...string) *process {
	t.Helper()
	p := &process{command: command, log: &testkit.Log{}, exited: make(chan struct{})}
	p.command.Env = []string{
		"RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_ADMIN_ADDR=127.0.0.1:0", "RECEIVER_DATA_DIR=" + folder, "RECEIVER_WEBHOOK_TOKENS=" + crashToken,
		"RECEIVER_FETCH_ALLOWED_HOSTS=127.0.0.1", "RECEIVER_FETCH_ALLOWED_CIDRS=127.0.0.0/8", "RECEIVER_FETCH_ALLOW_HTTP=true",
		"RECEIVER_LOG_FORMAT=json", "RECEIVER_RETRY_MIN_DELAY=100ms", "RECEIVER_MIN_FREE_BYTES=1MiB", "RECEIVER_SHUTDOWN_DELAY=0s",
	}
	p.command.Env = append(p.command.Env, env...)
	stderr, err := p.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	ready := make(chan addresses, 1)
	go p.watch(stderr, ready)
	select {
	case found := <-ready:
		p.address, p.admin = found.Address, found.Admin
	case <-p.exited:
		t.Fatalf("receiver exited with %v, want it running\n%s", p.err, p.log)
	case <-time.After(crashWait):
		t.Fatalf("receiver is not ready after %s, want it ready", crashWait)
	}
	return p
}

// watch keeps the log and passes on the address when the receiver is ready.
func (p *process) watch(stderr io.Reader, ready chan<- addresses) {
	defer close(p.exited)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		_, _ = p.log.Write(append(lines.Bytes(), '\n'))
		var line struct {
			Message string
			addresses
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "receiver is ready" {
			ready <- line.addresses
		}
	}
	p.err = p.command.Wait()
}

// kill ends the process without any clean-up.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.exited
}

func (p *process) webhook() string {
	return "http://" + p.address + "/webhooks/deep-image/" + crashToken
}

// acknowledged are the events that were answered with 200.
type acknowledged struct {
	mutex sync.Mutex
	jobs  map[string]fakevendortest.Job // by the id in the answer
}

// load sends callbacks of new jobs until the context ends.
func (a *acknowledged) load(ctx context.Context, t *testing.T, vendor *fakevendortest.Vendor, webhook string) {
	for ctx.Err() == nil {
		job, err := vendor.NewJob(crashJob())
		if err != nil {
			t.Error(err)
			return
		}
		body := vendor.Callback(job, webhook)
		for range 2 { // the vendor may call twice
			answer, err := vendor.Send(ctx, webhook, body)
			if err != nil || answer.Status != http.StatusOK {
				continue // killed or overloaded: not acknowledged
			}
			var accepted struct{ ID string }
			if err := json.Unmarshal(answer.Body, &accepted); err != nil || accepted.ID == "" {
				t.Errorf("answer = %q, error %v, want an id", answer.Body, err)
				return
			}
			a.mutex.Lock()
			a.jobs[accepted.ID] = job
			a.mutex.Unlock()
		}
	}
}

// crashJob is a job with a small image. Some transfers are slow or break.
func crashJob() fakevendortest.JobOptions {
	options := fakevendortest.JobOptions{Width: 120, Height: 80, Seed: 1 + rand.Uint64N(4), Format: fakevendortest.PNG}
	switch rand.IntN(10) {
	case 0:
		options.Faults = []fakevendortest.Fault{{Kind: fakevendortest.Slow, Times: 1, Pause: 5 * time.Millisecond}}
	case 1:
		options.Faults = []fakevendortest.Fault{{Kind: fakevendortest.Break, Times: 1, Percent: 50}}
	}
	return options
}

// The process is killed 20 times under load. Every acknowledged event is done once, with a complete image.
func TestKillUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendortest.Options{Timeout: 5 * time.Second})
	folder := t.TempDir()
	acked := &acknowledged{jobs: map[string]fakevendortest.Job{}}
	for range crashRounds {
		p := serve(t, folder)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond+rand.N(250*time.Millisecond))
		var senders sync.WaitGroup
		for range crashSenders {
			senders.Go(func() { acked.load(ctx, t, vendor, p.webhook()) })
		}
		time.AfterFunc(30*time.Millisecond+rand.N(200*time.Millisecond), func() { _ = p.command.Process.Kill() })
		senders.Wait()
		cancel()
		p.kill()
	}
	last := serve(t, folder)
	waitUntilIdle(t, folder, last)
	if err := last.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-last.exited
	if last.err != nil {
		t.Errorf("exit after SIGTERM = %v, want 0\n%s", last.err, last.log)
	}
	t.Logf("%d kills, %d acknowledged events", crashRounds, len(acked.jobs))
	if len(acked.jobs) < crashRounds {
		t.Errorf("acknowledged events = %d, want at least %d", len(acked.jobs), crashRounds)
	}
	checkAfterCrashes(t, folder, acked.jobs)
}

func reader(t *testing.T, folder, name string) *sql.DB {
	t.Helper()
	db, err := database.OpenSQLiteReadOnly(t.Context(), filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// waitUntilIdle waits until the inbox is relayed and every event is done.
func waitUntilIdle(t *testing.T, folder string, p *process) {
	t.Helper()
	inbox, work := reader(t, folder, "inbox.db"), reader(t, folder, "work.db")
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(crashWait)
	for {
		waiting, open := count(t, inbox, "SELECT count(*) FROM outbox"), count(t, work, "SELECT count(*) FROM events WHERE state <> 'done'")
		if waiting == 0 && open == 0 {
			return
		}
		select {
		case <-look.C:
		case <-p.exited:
			t.Fatalf("receiver exited with %v, want it running\n%s", p.err, p.log)
		case <-deadline:
			t.Fatalf("events in the inbox = %d, events not done = %d, want 0 and 0", waiting, open)
		}
	}
}

func checkAfterCrashes(t *testing.T, folder string, acked map[string]fakevendortest.Job) {
	t.Helper()
	inbox, work := reader(t, folder, "inbox.db"), reader(t, folder, "work.db")
	events := count(t, work, "SELECT count(*) FROM events")
	if accepted := count(t, inbox, "SELECT count(*) FROM callbacks"); accepted != events {
		t.Errorf("events in the work store = %d, want %d as in the inbox", events, accepted)
	}
	if jobs := count(t, work, "SELECT count(DISTINCT job) FROM events"); jobs != events {
		t.Errorf("events = %d, want %d, one for each job", events, jobs)
	}
	for id, job := range acked {
		var state, key, sum string
		err := work.QueryRowContext(t.Context(), `SELECT state, key, sha256 FROM events JOIN artifacts ON event_id = id
			WHERE id = ? AND artifacts.position = 0`, id).Scan(&state, &key, &sum)
		if err != nil || state != "done" || sum != job.Images[0].SHA256 {
			t.Errorf("event %s: state = %q, SHA-256 = %s, error %v, want done and %s", id, state, sum, err, job.Images[0].SHA256)
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, "images", filepath.FromSlash(key)))
		if got := sha256.Sum256(content); err != nil || hex.EncodeToString(got[:]) != sum {
			t.Errorf("SHA-256 of the image of event %s = %x, error %v, want %s", id, got, err, sum)
		}
	}
	images, manifests, temporary := survey(t, filepath.Join(folder, "images"))
	if images != events || manifests != events || temporary != 0 {
		t.Errorf("images, manifests, temporary files = %d, %d, %d, want %d, %d, 0", images, manifests, temporary, events, events)
	}
}

// survey counts the files below root by their kinds.
func survey(t *testing.T, root string) (images, manifests, temporary int) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir() || entry.Name() == "lock":
		case strings.Contains(path, "/.spool/"):
			temporary++
		case entry.Name() == "event.json":
			manifests++
		default:
			images++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return images, manifests, temporary
}
