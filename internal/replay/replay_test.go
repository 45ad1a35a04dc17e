package replay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

func stop(t *testing.T, r *replay.Replayer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// fakeStore is a store of dead events whose workers can be slow and whose calls can fail.
type fakeStore struct {
	mutex      sync.Mutex
	events     int // dead, with ids that sort as their numbers
	pending    int
	maxPending int // highest value of pending so far
	finishing  int // steps that workers finish between two calls of Pending
	failing    int // calls of Find that fail
	replayed   []event.ID

	current  *replay.BulkReplay // in progress
	ended    *replay.BulkReplay
	holder   int       // number of calls of Acquire that succeeded
	until    time.Time // end of the lease of the last one
	released bool      // ReleaseLease was called
}

func (s *fakeStore) Create(context.Context, history.Filter) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.current != nil {
		return replay.ErrBusy
	}
	s.current = &replay.BulkReplay{}
	return nil
}

func (s *fakeStore) Acquire(_ context.Context, lease time.Duration) (replay.BulkReplay, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.current == nil || time.Now().Before(s.until) {
		return replay.BulkReplay{}, database.ErrNotFound
	}
	s.holder++
	s.until = time.Now().Add(lease)
	taken := *s.current
	taken.ID = strconv.Itoa(s.holder)
	return taken, nil
}

func (s *fakeStore) Renew(_ context.Context, r replay.BulkReplay, lease time.Duration) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if r.ID != strconv.Itoa(s.holder) {
		return workflow.ErrStale
	}
	s.until = time.Now().Add(lease)
	return nil
}

func (s *fakeStore) End(_ context.Context, r replay.BulkReplay, failed bool) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if r.ID != strconv.Itoa(s.holder) {
		return workflow.ErrStale
	}
	s.ended, s.current = s.current, nil
	s.ended.Failed = failed
	return nil
}

func (s *fakeStore) ReleaseLease(context.Context) error {
	s.released, s.until = true, time.Time{}
	return nil
}

// latest returns the bulk replay that is in progress, or the one that has ended.
func (s *fakeStore) latest() (r replay.BulkReplay, running bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.current != nil {
		return *s.current, true
	}
	return *s.ended, false
}

func (s *fakeStore) Find(_ context.Context, _ history.Filter, before event.ID, limit int) (lines []history.ListItem, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.failing > 0 {
		s.failing--
		return nil, errors.New("the disk is slow")
	}
	for n := s.events - 1; n >= 0 && len(lines) < limit; n-- {
		if id := event.ID(fmt.Sprintf("%06d", n)); before == "" || id < before {
			lines = append(lines, history.ListItem{Event: history.Event{ID: id}})
		}
	}
	return lines, nil
}

func (s *fakeStore) Replay(_ context.Context, id event.ID, what workflow.Replay) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !what.Late || what.Finished || what.Progress == nil {
		return 0, fmt.Errorf("replay %+v, want one of dead steps with low priority and a progress", what)
	}
	if r, ok := what.Progress.(replay.BulkReplay); !ok || r.ID != strconv.Itoa(s.holder) {
		return 0, workflow.ErrStale
	}
	s.current.Cursor = id
	s.current.Events++
	s.replayed = append(s.replayed, id)
	s.pending++
	s.maxPending = max(s.maxPending, s.pending)
	return 1, nil
}

func (s *fakeStore) Pending(_ context.Context, _ string, limit int) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	n := min(s.pending, limit)
	if n == limit {
		s.pending = max(0, s.pending-s.finishing)
	}
	return n, nil
}

func start(t *testing.T, s *fakeStore) *replay.Replayer {
	t.Helper()
	r := replay.New(replay.Deps{BulkReplays: s, Events: s, Workflow: s, Handlers: []string{"download"}, Log: zerolog.Nop()})
	if err := r.Start(t.Context()); err != nil || !s.released {
		t.Fatalf("Start: error %v, lease released = %t, want true", err, s.released)
	}
	return r
}

// Every event is replayed once and few steps wait at any time, also when the store fails for a while.
func TestBulkReplayIsThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{events: 1000, finishing: 50, failing: 3}
		r := start(t, s)
		defer stop(t, r)
		if err := r.Begin(t.Context(), history.Filter{}); err != nil {
			t.Fatal(err)
		}
		if err := r.Begin(t.Context(), history.Filter{}); !errors.Is(err, replay.ErrBusy) {
			t.Errorf("second Begin: error = %v, want ErrBusy", err)
		}
		p, running := s.latest()
		for ; running; p, running = s.latest() {
			wait(t)
		}
		if p.Events != 1000 || p.Failed || s.maxPending > 300 {
			t.Errorf("bulk replay = %+v with up to %d pending steps, want 1000 events with up to 300", p, s.maxPending)
		}
		s.checkReplayed(t, 1000)
	})
}

// checkReplayed wants every event replayed once, the newest first.
func (s *fakeStore) checkReplayed(t *testing.T, events int) {
	t.Helper()
	if !slices.IsSortedFunc(s.replayed, func(a, b event.ID) int { return strings.Compare(string(b), string(a)) }) ||
		len(slices.Compact(s.replayed)) != events {
		t.Errorf("replayed %d events, want each of %d once, the newest first", len(s.replayed), events)
	}
}

// A bulk replay waits for workers without end. The stop releases its lease, so that the next process resumes it at once.
func TestStopReleasesTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{events: 1000}
		first := start(t, s)
		if err := first.Begin(t.Context(), history.Filter{}); err != nil {
			t.Fatal(err)
		}
		for range 60 { // longer than any lease
			wait(t)
		}
		if s.holder != 1 {
			t.Errorf("acquired %d times, want 1", s.holder)
		}
		stop(t, first)
		if p, running := s.latest(); !running || p.Events != 300 || time.Now().Before(s.until) {
			t.Errorf("after the stop: %+v, in progress %t, lease until %s; want 300 events, in progress, without a lease", p, running, s.until)
		}
		s.finishing = 50
		second := start(t, s)
		defer stop(t, second)
		for running := true; running; _, running = s.latest() {
			wait(t)
		}
		s.checkReplayed(t, 1000)
	})
}

// A replica that has lost its lease stops and changes nothing any more.
func TestBulkReplayIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{events: 1000}
		paused := start(t, s)
		defer stop(t, paused)
		if err := paused.Begin(t.Context(), history.Filter{}); err != nil {
			t.Fatal(err)
		}
		wait(t)
		s.mutex.Lock()
		s.finishing, s.until = 50, time.Time{} // its lease is over, as after a long pause
		s.mutex.Unlock()
		other := start(t, s)
		defer stop(t, other)
		for running := true; running; _, running = s.latest() {
			wait(t)
		}
		if s.checkReplayed(t, 1000); s.holder != 2 {
			t.Errorf("acquired %d times, want 2", s.holder)
		}
	})
}

// A bulk replay ends as failed when the store fails for long.
func TestBulkReplayFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{failing: 1000}
		r := start(t, s)
		defer stop(t, r)
		if err := r.Begin(t.Context(), history.Filter{}); err != nil {
			t.Fatal(err)
		}
		for running := true; running; _, running = s.latest() {
			wait(t)
		}
		if !s.ended.Failed {
			t.Error("failed = false, want true")
		}
	})
}

// wait sleeps a second of the bubble's clock.
func wait(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 1_000_000_000)
	defer cancel()
	<-ctx.Done()
}
