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

// stream keeps the output of a process and lets a test wait for a part of it.
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

func (s *stream) snapshot() (string, <-chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return string(s.text), s.changed
}

// await waits for the pattern and returns the match of its first group.
func (s *stream) await(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	deadline := time.After(processTimeout)
	for {
		text, changed := s.snapshot()
		if match := expression.FindStringSubmatch(text); match != nil {
			return match[1]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("output = %s, want a match of %s", text, pattern)
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
	r.command.Env = append([]string{"PATH=/nowhere", "RECEIVER_LISTEN_ADDR=127.0.0.1:0", "RECEIVER_ADMIN_ADDR=127.0.0.1:0", "RECEIVER_MIN_FREE_BYTES=1MiB", "RECEIVER_SHUTDOWN_DELAY=0s"}, env...)
	r.command.Stdout, r.command.Stderr = r.stdout, r.stderr
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.exited)
		_ = r.command.Wait() // stop checks the exit code
	}()
	t.Cleanup(func() {
		_ = r.command.Process.Kill()
		<-r.exited
	})
	r.address = r.stderr.await(t, `"address":"([^"]+)".*"receiver is ready"`)
	r.admin = r.stderr.await(t, `"admin":"([^"]+)".*"receiver is ready"`)
	return r
}

// stop sends a signal to the receiver, as an operator does, and returns its result.
func (r *running) stop(t *testing.T, signal syscall.Signal) result {
	t.Helper()
	if err := r.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.exited:
	case <-time.After(processTimeout):
		t.Fatalf("receiver runs %s after the signal, want it to exit", processTimeout)
	}
	stdout, _ := r.stdout.snapshot()
	stderr, _ := r.stderr.snapshot()
	return result{r.command.ProcessState.ExitCode(), stdout, stderr}
}

// signalUntilItEnds repeats the signal: one could arrive while the receiver handles the first.
func (r *running) signalUntilItEnds(t *testing.T, signal syscall.Signal) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(processTimeout / 2) // well before the shutdown timeout
	for {
		_ = r.command.Process.Signal(signal) // fails if the process has just exited
		select {
		case <-r.exited:
			return
		case <-again.C:
		case <-deadline:
			t.Fatalf("receiver runs %s after the signal, want it to exit", processTimeout)
		}
	}
}

// listening is the variable with the address of the receiver, for commands.
func (r *running) listening() string { return "RECEIVER_LISTEN_ADDR=" + r.address }

func (r *running) tokenFile() string { return filepath.Join(r.folder, "data", "webhook-token") }
