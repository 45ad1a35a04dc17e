package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
)

// forwardTarget is a target of forward that works, hangs, fails or is gone.
type forwardTarget struct {
	*httptest.Server
	hangs, fails, gone, missing atomic.Bool
	calls                       atomic.Int64

	mutex sync.Mutex
	got   map[event.ID][]time.Time // successful calls, by webhook-id
}

func newForwardTarget(t *testing.T) *forwardTarget {
	t.Helper()
	made := &forwardTarget{got: map[event.ID][]time.Time{}}
	made.Server = httptest.NewServer(made)
	t.Cleanup(made.Close)
	return made
}

// ServeHTTP records an event, unless the target hangs, fails or is gone.
func (s *forwardTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	_, err := io.Copy(io.Discard, r.Body)
	switch {
	case err != nil:
	case s.hangs.Load():
		<-r.Context().Done()
	case s.fails.Load():
		w.WriteHeader(http.StatusInternalServerError)
	case s.missing.Load():
		w.WriteHeader(http.StatusNotFound)
	case s.gone.Load():
		w.WriteHeader(http.StatusGone)
	default:
		s.mutex.Lock()
		defer s.mutex.Unlock()
		id := event.ID(r.Header.Get("Webhook-Id"))
		s.got[id] = append(s.got[id], time.Now())
	}
}

// has is the number of events received.
func (s *forwardTarget) has() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.got)
}

// forwarding is a configuration that forwards to the targets, in the order of handlers.
func forwarding(t *testing.T, c config.Config, targets ...*forwardTarget) config.Config {
	t.Helper()
	own := &forward.Config{
		Mode: forward.ModeEvent, Timeout: time.Second, Concurrency: 8, Rate: 10_000, CircuitFailures: 5, CircuitPause: time.Second,
	}
	for _, target := range targets {
		own.URLs = append(own.URLs, secret.New(target.URL))
	}
	if err := own.Validate(); err != nil {
		t.Fatal(err)
	}
	c.HandlerNames = append(c.HandlerNames, forward.Name)
	c.Handlers = append(c.Handlers, config.Handler{Definition: handler.Define(forward.Name, forward.New), Config: own})
	return c
}

// forwardedEvents is small, because the race detector slows SQLite down ten times; measure with -args -events 400.
var forwardedEvents = flag.Int("events", 8, "events that are forwarded to three targets")

// A target that hangs and one that fails do not delay a third one. When they recover they get every event once, with the same ids.
func TestTargetsAreIndependent(t *testing.T) {
	t.Parallel()
	const senders = 8
	events := *forwardedEvents / senders * senders
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		hanging, failing, well := newForwardTarget(t), newForwardTarget(t), newForwardTarget(t)
		hanging.hangs.Store(true)
		failing.fails.Store(true)
		c := forwarding(t, configuration(t, place), hanging, failing, well)
		c.Retry.MaxAttempts, c.Retry.MinDelay = 20, 100*time.Millisecond
		r := start(t, c)
		accepted := sendMany(t, client, r, v, events, senders)
		await(t, r, "the working target has every event", func() bool { return well.has() == events })
		delays := delaysOf(t, well, accepted)
		t.Logf("%s: the working target got an event after %s (median), %s at most; the others were called %d and %d times",
			place.Kind, delays[len(delays)/2].Round(time.Millisecond), delays[len(delays)-1].Round(time.Millisecond), hanging.calls.Load(), failing.calls.Load())
		if last := delays[len(delays)-1]; last > testkit.Timeout {
			t.Errorf("longest delay = %s, want at most %s", last, testkit.Timeout)
		}
		if hanging.has() > 0 || failing.has() > 0 {
			t.Errorf("the others have %d and %d events, want none", hanging.has(), failing.has())
		}
		back := time.Now()
		hanging.hangs.Store(false)
		failing.fails.Store(false)
		await(t, r, "the others have every event", func() bool { return hanging.has() == events && failing.has() == events })
		t.Logf("%s: the others had %d events each %s after their recovery", place.Kind, events, time.Since(back).Round(time.Millisecond))
		for id := range accepted {
			h := r.await(t, id)
			if h.Event.State != event.Done || len(h.Steps) != 4 {
				t.Fatalf("state = %s with %d steps, want done with 4: %+v", h.Event.State, len(h.Steps), h.Steps)
			}
		}
		for _, target := range []*forwardTarget{hanging, failing} {
			delaysOf(t, target, accepted)
		}
	})
}

// Forward reads an image from the bucket of download and does not fetch it again.
func TestForwardSendsStoredImages(t *testing.T) {
	t.Parallel()
	v, client := vendor(t), newClient(t)
	bodies := make(chan []byte, 1)
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- body
	}))
	t.Cleanup(target.Close)
	c := forwarding(t, configuration(t, storetest.NewPlace(t, database.SQLite)), &forwardTarget{Server: target})
	own := c.Handlers[len(c.Handlers)-1].Config.(*forward.Config)
	own.Mode = forward.ModeRaw
	r := start(t, c)
	job, err := v.NewJob(fakevendortest.JobOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := r.await(t, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID)
	if h.Event.State != event.Done {
		t.Fatalf("state = %s, want done: %+v", h.Event.State, h.Steps)
	}
	if sum := sha256.Sum256(<-bodies); hex.EncodeToString(sum[:]) != job.Images[0].SHA256 {
		t.Errorf("sha256 of the sent image = %x, want %s", sum, job.Images[0].SHA256)
	}
	if requests := v.Requests(job.ResultURL); requests != 1 {
		t.Errorf("image fetched %d times, want 1", requests)
	}
}

// sendMany sends callbacks and returns when each was accepted.
func sendMany(t *testing.T, client *http.Client, r *receiver, v *fakevendortest.Vendor, events, senders int) map[event.ID]time.Time {
	t.Helper()
	var mutex sync.Mutex
	accepted := make(map[event.ID]time.Time, events)
	var group sync.WaitGroup
	for n := range senders {
		group.Go(func() {
			for range events / senders {
				job, err := v.NewJob(fakevendortest.JobOptions{Width: 8, Height: 8, Seed: uint64(n + 1)})
				if err != nil {
					t.Error(err)
					return
				}
				a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
				mutex.Lock()
				accepted[a.ID] = time.Now()
				mutex.Unlock()
			}
		})
	}
	group.Wait()
	return accepted
}

// delaysOf returns the sorted delays from acceptance to arrival, and checks that each event arrived once.
func delaysOf(t *testing.T, target *forwardTarget, accepted map[event.ID]time.Time) (delays []time.Duration) {
	t.Helper()
	target.mutex.Lock()
	defer target.mutex.Unlock()
	for id, calls := range target.got {
		at, known := accepted[id]
		if !known || len(calls) != 1 {
			t.Errorf("event %s arrived %d times, accepted %t; want once, true", id, len(calls), known)
			continue
		}
		delays = append(delays, calls[0].Sub(at))
	}
	slices.Sort(delays)
	return delays
}

func await(t *testing.T, r *receiver, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(2 * testkit.Timeout)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			log := r.log.String()
			t.Fatalf("got a timeout, want that %s; the log ends with:\n%s", what, log[max(0, len(log)-5000):])
		}
	}
}

// A bad target delays neither publish nor the other targets, also of events that an earlier version stored.
func TestHandlersDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		bad := newForwardTarget(t)
		bad.fails.Store(true)
		c := forwarding(t, configuration(t, place), bad)
		published := newForwardTarget(t) // stands for a broker
		own := *c.Handlers[1].Config.(*forward.Config)
		own.URLs = secret.List{secret.New("late=" + published.URL)}
		c.HandlerNames = append(c.HandlerNames, "later")
		c.Handlers = append(c.Handlers, config.Handler{Definition: handler.Define("later", forward.New), Config: &own})
		r := start(t, c)
		job, err := v.NewJob(fakevendortest.JobOptions{})
		if err != nil {
			t.Fatal(err)
		}
		id := post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID
		await(t, r, "E3 the handler after a bad target has the event", func() bool { return published.has() == 1 })
		details := r.reaches(t, id, event.Retrying)
		if len(details.Steps) != 3 || details.Steps[0].Handler != "download" || details.Steps[0].State != event.Done {
			t.Errorf("steps = %+v, want 3, with a download that is done", details.Steps)
		}
	})
}
