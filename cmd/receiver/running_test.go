package main_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

const knownToken = "hunter2-hunter2-hunter2"

// stream keeps what a process writes and lets a test wait for a part of it.
type stream struct {
	mutex   sync.Mutex
	text    []byte
	changed chan struct{} // closed at the next write
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

func (s *stream) Write(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.text = append(s.text, p...)
	close(s.changed)
	s.changed = make(chan struct{})
	return len(p), nil
}

func (s *stream) look() (string, <-chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return string(s.text), s.changed
}

// await waits for the pattern and gives what its first group matched.
func (s *stream) await(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		text, changed := s.look()
		if match := expression.FindStringSubmatch(text); match != nil {
			return match[1]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no %s in:\n%s", pattern, text)
		}
	}
}

// running is a receiver that serves.
type running struct {
	command        *exec.Cmd
	folder         string // its working folder; the data folder is "data" in it
	address, admin string // host:port
	stdout, stderr *stream
	exited         chan struct{}
}

// start runs "receiver serve" until the test ends, and waits until it is ready.
func start(t *testing.T, folder string, env ...string) *running {
	t.Helper()
	r := &running{folder: folder, stdout: newStream(), stderr: newStream(), exited: make(chan struct{})}
	r.command = exec.Command(binary(t), "serve")
	r.command.Dir = folder
	r.command.Env = append([]string{"PATH=/nowhere", "RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_ADMIN_ADDR=127.0.0.1:0", "RECEIVER_MIN_FREE_BYTES=1MiB"}, env...)
	r.command.Stdout, r.command.Stderr = r.stdout, r.stderr
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.exited)
		_ = r.command.Wait() // the exit code is looked at in stop
	}()
	t.Cleanup(func() {
		_ = r.command.Process.Kill()
		<-r.exited
	})
	r.address = r.stderr.await(t, `"address":"([^"]+)".*"receiver is ready"`)
	r.admin = r.stderr.await(t, `"admin":"([^"]+)".*"receiver is ready"`)
	return r
}

// stop asks the receiver to end, as an operator does, and gives what it left.
func (r *running) stop(t *testing.T, signal syscall.Signal) result {
	t.Helper()
	if err := r.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.exited:
	case <-time.After(patience):
		t.Fatal("the receiver does not end")
	}
	stdout, _ := r.stdout.look()
	stderr, _ := r.stderr.look()
	return result{r.command.ProcessState.ExitCode(), stdout, stderr}
}

// signalUntilItEnds is an impatient operator: one signal could come while the first is still being taken in.
func (r *running) signalUntilItEnds(t *testing.T, signal syscall.Signal) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(patience / 2) // well before the receiver would end by itself
	for {
		_ = r.command.Process.Signal(signal) // fails when it has ended just now
		select {
		case <-r.exited:
			return
		case <-again.C:
		case <-deadline:
			t.Fatal("the receiver does not end")
		}
	}
}

// listening is how commands learn where the receiver is.
func (r *running) listening() string { return "RECEIVER_LISTEN_ADDR=" + r.address }

func (r *running) tokenFile() string { return filepath.Join(r.folder, "data", "webhook-token") }
