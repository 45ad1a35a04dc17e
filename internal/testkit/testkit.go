// Package testkit holds what tests of many packages share: a log buffer, waiting for a value, and free addresses.
package testkit

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	// Timeout is how long a test waits for what must happen, also on a busy machine.
	Timeout = 30 * time.Second

	pollInterval = 10 * time.Millisecond
)

// Log is a buffer for the log of what a test runs. It is safe for use by many goroutines.
type Log struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.Write(p)
}

// String returns the whole log.
func (l *Log) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.String()
}

// Records returns the fields of each line of a JSON log whose field has the value; field "" selects all lines.
func (l *Log) Records(t testing.TB, field string, value any) (records []map[string]any) {
	t.Helper()
	for line := range bytes.Lines([]byte(l.String())) {
		record := map[string]any{}
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if field == "" || record[field] == value {
			records = append(records, record)
		}
	}
	return records
}

// Eventually waits until get returns the wanted value. The test fails with the last value after Timeout.
func Eventually[T comparable](t testing.TB, what string, want T, get func() T) {
	t.Helper()
	got, ok := poll(get, func(got T) bool { return got == want })
	if !ok {
		t.Fatalf("%s = %v after %s, want %v", what, got, Timeout, want)
	}
}

// WaitFor waits until get returns a value that is accepted by done, and returns it. The test fails with the last value after
// Timeout.
func WaitFor[T any](t testing.TB, want string, get func() (T, error), done func(T) bool) T {
	t.Helper()
	type result struct {
		value T
		err   error
	}
	got, ok := poll(func() (r result) { r.value, r.err = get(); return r }, func(r result) bool { return r.err == nil && done(r.value) })
	if !ok {
		t.Fatalf("got %+v, error %v after %s, want %s", got.value, got.err, Timeout, want)
	}
	return got.value
}

func poll[T any](get func() T, done func(T) bool) (got T, ok bool) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	deadline := time.Now().Add(Timeout)
	for {
		if got = get(); done(got) {
			return got, true
		}
		if time.Now().After(deadline) {
			return got, false
		}
		<-ticker.C
	}
}

// Receive returns the next value of a channel. The test fails if none comes within Timeout.
func Receive[T any](t testing.TB, what string, from <-chan T) (value T) {
	t.Helper()
	timer := time.NewTimer(Timeout)
	defer timer.Stop()
	select {
	case value = <-from:
	case <-timer.C:
		t.Fatalf("%s: got nothing within %s, want a value", what, Timeout)
	}
	return value
}

// FreeAddress returns an address on loopback on which nothing listens. Its port is below those of outgoing connections, so that it
// stays free while what listens on it restarts.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const attempts, firstPort, ports = 100, 20_000, 12_000
	for range attempts {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(ports)))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatalf("free ports found in %d attempts = 0, want 1", attempts)
	return ""
}
