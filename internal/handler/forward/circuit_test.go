package forward_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/rs/zerolog"
)

// After failures in a row the circuit opens and defers all calls. Then one probe is made while the others are deferred.
// When it succeeds, the circuit closes.
func TestCircuit(t *testing.T) {
	t.Parallel()
	const failures, pause = 3, 200 * time.Millisecond
	var down atomic.Bool
	down.Store(true)
	probing, answer := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	target := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case calls.Add(1) == failures+1:
			close(probing)
			<-answer
		case down.Load():
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	fx := newFixture(t, zerolog.Nop())
	config := to(target.URL)
	config.CircuitFailures, config.CircuitPause = failures, pause
	h := fx.open(t, config)
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	handle := func() *handler.Error {
		_, err := h.Handle(t.Context(), e)
		return handler.Classify(err)
	}
	for range failures {
		if got := handle(); got == nil || got.Action != event.ActionRetry {
			t.Fatalf("failure = %+v, want action retry", got)
		}
	}
	for n := range 4 {
		got := handle()
		if got == nil || got.Action != event.ActionDefer || got.Delay <= 0 || got.Delay > pause+time.Second || got.Reason != event.ReasonServerError {
			t.Fatalf("failure = %+v, want action defer, reason server_error, a delay of at most %s", got, pause+time.Second)
		}
		if n == 0 && !strings.Contains(got.Error(), "502") {
			t.Errorf("error = %q, want the status of the last call, 502, in it", got)
		}
	}
	if calls.Load() != failures {
		t.Fatalf("calls = %d, want %d", calls.Load(), failures)
	}
	<-time.After(pause + 10*time.Millisecond)
	down.Store(false)
	var group sync.WaitGroup
	group.Go(func() {
		if got := handle(); got != nil {
			t.Errorf("probe: error = %+v, want none", got)
		}
	})
	<-probing
	for range 3 {
		if got := handle(); got == nil || got.Action != event.ActionDefer || got.Delay <= 0 {
			t.Errorf("error during the probe = %+v, want action defer with a delay", got)
		}
	}
	close(answer)
	group.Wait()
	for range 3 {
		if got := handle(); got != nil {
			t.Errorf("error after the probe = %+v, want none", got)
		}
	}
	if calls.Load() != failures+4 {
		t.Errorf("calls = %d, want %d", calls.Load(), failures+4)
	}
}

// Deferred calls get different delays.
func TestDeferredCallsAreSpread(t *testing.T) {
	t.Parallel()
	fx, target := newFixture(t, zerolog.Nop()), newTarget(t, always(500, ""))
	config := to(target.URL)
	config.CircuitFailures, config.CircuitPause = 1, time.Minute
	h := fx.open(t, config)
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	var last time.Duration
	for n := range 200 {
		_, err := h.Handle(t.Context(), e)
		after := handler.Classify(err).Delay
		if n > 1 && after < last-60*time.Millisecond {
			t.Errorf("delay of call %d = %s, want at least that of the call before, %s", n, after, last)
		}
		last = after
	}
	if last < time.Minute+5*time.Second || last > time.Minute+15*time.Second {
		t.Errorf("delay of the last of 200 calls = %s, want 65s to 75s", last)
	}
	if calls := target.got(); len(calls) != 1 {
		t.Errorf("calls = %d, want 1", len(calls))
	}
}

// A target that rejects a call works, and a source that fails says nothing about the target.
func TestCircuitCountsOnlyFailuresOfTheTarget(t *testing.T) {
	t.Parallel()
	fx, target := newFixture(t, zerolog.Nop()), newTarget(t, always(422, ""))
	config := to(target.URL)
	config.Mode, config.CircuitFailures = "raw", 1
	h := fx.open(t, config)
	refused, _ := fx.event(t, fakevendortest.JobOptions{})
	broken, _ := fx.event(t, fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Status, Status: 500}}})
	for _, e := range []event.Event{refused, broken, refused, broken} {
		if _, err := h.Handle(t.Context(), e); err == nil || handler.Classify(err).Action == event.ActionDefer {
			t.Errorf("error = %v, want one with another action than defer", err)
		}
	}
	if calls := target.got(); len(calls) != 2 {
		t.Errorf("calls = %d, want 2", len(calls))
	}
}
