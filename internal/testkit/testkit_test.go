package testkit_test

import (
	"errors"
	"net"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/google/go-cmp/cmp"
)

func TestLogRecords(t *testing.T) {
	t.Parallel()
	log := &testkit.Log{}
	const lines = "{\"message\":\"step finished\",\"attempt\":1}\n{\"message\":\"heartbeat failed\"}\n"
	if _, err := log.Write([]byte(lines)); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); got != lines {
		t.Errorf("String = %q, want %q", got, lines)
	}
	want := []map[string]any{{"message": "step finished", "attempt": 1.0}}
	if diff := cmp.Diff(want, log.Records(t, "message", "step finished")); diff != "" {
		t.Errorf("Records (-want +got):\n%s", diff)
	}
	if got := len(log.Records(t, "", nil)); got != 2 {
		t.Errorf("Records of all lines = %d, want 2", got)
	}
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	calls := 0
	testkit.Eventually(t, "calls", 3, func() int { calls++; return calls })
	got := testkit.WaitFor(t, "a call without an error", func() (int, error) {
		if calls++; calls < 6 {
			return 0, errors.New("not ready")
		}
		return calls, nil
	}, func(n int) bool { return n > 6 })
	if got != 7 {
		t.Errorf("WaitFor = %d, want 7", got)
	}
	values := make(chan int, 1)
	values <- 5
	if got := testkit.Receive(t, "values", values); got != 5 {
		t.Errorf("Receive = %d, want 5", got)
	}
}

func TestFreeAddress(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", testkit.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}
