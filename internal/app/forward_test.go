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
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// forwardTarget is a system that events are forwarded to: it hangs, fails, wants nothing more or is well.
type forwardTarget struct {
	*httptest.Server
	hangs, fails, gone atomic.Bool
	calls              atomic.Int64

	mutex sync.Mutex
	got   map[event.ID][]time.Time // calls that were answered well, by webhook-id
}

func newForwardTarget(t *testing.T) *forwardTarget {
	t.Helper()
	made := &forwardTarget{got: map[event.ID][]time.Time{}}
	made.Server = httptest.NewServer(made)
	t.Cleanup(made.Close)
	return made
}

// ServeHTTP answers, or not.
func (s *forwardTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	_, err := io.Copy(io.Discard, r.Body)
	switch {
	case err != nil:
	case s.hangs.Load():
		<-r.Context().Done()
	case s.fails.Load():
		w.WriteHeader(http.StatusInternalServerError)
	case s.gone.Load():
		w.WriteHeader(http.StatusGone)
	default:
		s.mutex.Lock()
		defer s.mutex.Unlock()
		id := event.ID(r.Header.Get("Webhook-Id"))
		s.got[id] = append(s.got[id], time.Now())
	}
}

// has counts the events that came.
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

// forwardedEvents is small, because the race detector makes SQLite some ten times slower; -args -events 400 gives figures.
var forwardedEvents = flag.Int("events", 8, "events that are forwarded to three targets")

// One target hangs, one fails, one is well: the one that is well has every event within seconds of
// its acceptance, and each once. When the others come back they have them all too, under the same ids.
func TestDeadTargetsDelayNobodyElse(t *testing.T) {
	t.Parallel()
	const senders = 8
	events := *forwardedEvents / senders * senders
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		hanging, failing, well := newForwardTarget(t), newForwardTarget(t), newForwardTarget(t)
		hanging.hangs.Store(true)
		failing.fails.Store(true)
		c := forwarding(t, configuration(t, place), hanging, failing, well)
		c.Retry.MaxAttempts, c.Retry.MinDelay = 20, 100*time.Millisecond
		r := start(t, c)
		accepted := sendMany(t, client, r, v, events, senders)
		await(t, r, "the target that is well has every event", func() bool { return well.has() == events })
		delays := delaysOf(t, well, accepted)
		t.Logf("%s: the target that is well had an event after %s (median), %s at most; the others were called %d and %d times",
			place.Kind, delays[len(delays)/2].Round(time.Millisecond), delays[len(delays)-1].Round(time.Millisecond), hanging.calls.Load(), failing.calls.Load())
		if last := delays[len(delays)-1]; last > patience {
			t.Errorf("an event came after %s", last)
		}
		if hanging.has() > 0 || failing.has() > 0 {
			t.Errorf("the others have %d and %d events", hanging.has(), failing.has())
		}
		back := time.Now()
		hanging.hangs.Store(false)
		failing.fails.Store(false)
		await(t, r, "the others have every event", func() bool { return hanging.has() == events && failing.has() == events })
		t.Logf("%s: the others had %d events each %s after they came back", place.Kind, events, time.Since(back).Round(time.Millisecond))
		for id := range accepted {
			h := r.settled(t, id)
			if h.Event.State != event.Done || len(h.Steps) != 4 {
				t.Fatalf("%d steps: %+v", len(h.Steps), h)
			}
		}
		for _, target := range []*forwardTarget{hanging, failing} {
			delaysOf(t, target, accepted)
		}
	})
}

// What download has stored is sent out of the bucket, and not fetched again.
func TestForwardSendsWhatIsStored(t *testing.T) {
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
	c := forwarding(t, configuration(t, databasetest.NewPlace(t, database.SQLite)), &forwardTarget{Server: target})
	own := c.Handlers[len(c.Handlers)-1].Config.(*forward.Config)
	own.Mode = forward.ModeRaw
	r := start(t, c)
	job, err := v.NewJob(fakevendor.JobOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := r.settled(t, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID)
	if h.Event.State != event.Done {
		t.Fatalf("got %+v", h)
	}
	if sum := sha256.Sum256(<-bodies); hex.EncodeToString(sum[:]) != job.Images[0].SHA256 {
		t.Error("the target got something else")
	}
	if requests := v.Requests(job.ResultURL); requests != 1 {
		t.Errorf("fetched %d times", requests)
	}
}

// sendMany sends callbacks and says when each was accepted.
func sendMany(t *testing.T, client *http.Client, r *receiver, v *fakevendor.Vendor, events, senders int) map[event.ID]time.Time {
	t.Helper()
	var mutex sync.Mutex
	accepted := make(map[event.ID]time.Time, events)
	var group sync.WaitGroup
	for n := range senders {
		group.Go(func() {
			for range events / senders {
				job, err := v.NewJob(fakevendor.JobOptions{Width: 8, Height: 8, Seed: uint64(n + 1)})
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

// delaysOf says how long after its acceptance each event came, in order, and checks that it came once.
func delaysOf(t *testing.T, target *forwardTarget, accepted map[event.ID]time.Time) (delays []time.Duration) {
	t.Helper()
	target.mutex.Lock()
	defer target.mutex.Unlock()
	for id, calls := range target.got {
		at, known := accepted[id]
		if !known || len(calls) != 1 {
			t.Errorf("event %s came %d times; known: %t", id, len(calls), known)
			continue
		}
		delays = append(delays, calls[0].Sub(at))
	}
	slices.Sort(delays)
	return delays
}

func await(t *testing.T, r *receiver, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(2 * patience)
	for !ok() {
		select {
		case <-look.C:
		case <-deadline:
			log := r.log.String()
			t.Fatalf("it never came to that %s; the log ends with:\n%s", what, log[max(0, len(log)-5000):])
		}
	}
}
