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

// store is a work store of dead events whose workers are as slow and whose disk is as broken as a test wants;
// the real one is behind the same door in the tests of package app.
type store struct {
	mutex    sync.Mutex
	events   int // dead, with ids that sort as their numbers
	pending  int
	most     int // that ever were pending
	work     int // steps that workers end between two looks
	failing  int // calls that fail before the next that works
	replayed []event.ID

	rerun  *replay.BulkReplay // under way
	ended  *replay.BulkReplay
	holder int       // counts those who had it
	until  time.Time // the last one has it until then
	isTold bool      // an earlier process is known to be gone
}

func (s *store) Create(context.Context, history.Filter) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.rerun != nil {
		return replay.ErrBusy
	}
	s.rerun = &replay.BulkReplay{}
	return nil
}

func (s *store) Acquire(_ context.Context, lease time.Duration) (replay.BulkReplay, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.rerun == nil || time.Now().Before(s.until) {
		return replay.BulkReplay{}, database.ErrNotFound
	}
	s.holder++
	s.until = time.Now().Add(lease)
	taken := *s.rerun
	taken.ID = strconv.Itoa(s.holder)
	return taken, nil
}

func (s *store) Renew(_ context.Context, r replay.BulkReplay, lease time.Duration) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if r.ID != strconv.Itoa(s.holder) {
		return workflow.ErrStale
	}
	s.until = time.Now().Add(lease)
	return nil
}

func (s *store) End(_ context.Context, r replay.BulkReplay, failed bool) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if r.ID != strconv.Itoa(s.holder) {
		return workflow.ErrStale
	}
	s.ended, s.rerun = s.rerun, nil
	s.ended.Failed = failed
	return nil
}

func (s *store) ReleaseLease(context.Context) error {
	s.isTold, s.until = true, time.Time{}
	return nil
}

// latest is the replay that is under way, or the one that has ended.
func (s *store) latest() (r replay.BulkReplay, running bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.rerun != nil {
		return *s.rerun, true
	}
	return *s.ended, false
}

func (s *store) Find(_ context.Context, _ history.Filter, before event.ID, limit int) (lines []history.ListItem, err error) {
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

func (s *store) Replay(_ context.Context, id event.ID, what workflow.Replay) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !what.Late || what.Finished || what.Progress == nil {
		return 0, errors.New("what is replayed by the many comes after new work, is dead, and is written down")
	}
	if r, ok := what.Progress.(replay.BulkReplay); !ok || r.ID != strconv.Itoa(s.holder) {
		return 0, workflow.ErrStale
	}
	s.rerun.Cursor = id
	s.rerun.Events++
	s.replayed = append(s.replayed, id)
	s.pending++
	s.most = max(s.most, s.pending)
	return 1, nil
}

func (s *store) Pending(_ context.Context, _ string, limit int) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	n := min(s.pending, limit)
	if n == limit {
		s.pending = max(0, s.pending-s.work)
	}
	return n, nil
}

func start(t *testing.T, s *store) *replay.Replayer {
	t.Helper()
	r := replay.New(replay.Deps{BulkReplays: s, Events: s, Workflow: s, Handlers: []string{"download"}, Log: zerolog.Nop()})
	if err := r.Start(t.Context()); err != nil || !s.isTold {
		t.Fatal(err)
	}
	return r
}

// Every event once, never many at a time, also when the store fails for a while; and only one replay at a time.
func TestReplayIsPaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{events: 1000, work: 50, failing: 3}
		r := start(t, s)
		defer stop(t, r)
		if err := r.Begin(t.Context(), history.Filter{}); err != nil {
			t.Fatal(err)
		}
		if err := r.Begin(t.Context(), history.Filter{}); !errors.Is(err, replay.ErrBusy) {
			t.Errorf("a second replay: %v", err)
		}
		p, running := s.latest()
		for ; running; p, running = s.latest() {
			wait(t)
		}
		if p.Events != 1000 || p.Failed || s.most > 300 {
			t.Errorf("%+v, at most %d pending", p, s.most)
		}
		s.checkOnce(t, 1000)
	})
}

// checkOnce wants every event replayed once, from the newest to the oldest.
func (s *store) checkOnce(t *testing.T, events int) {
	t.Helper()
	if !slices.IsSortedFunc(s.replayed, func(a, b event.ID) int { return strings.Compare(string(b), string(a)) }) ||
		len(slices.Compact(s.replayed)) != events {
		t.Errorf("%d replayed, not every event once from the newest on", len(s.replayed))
	}
}

// A replay whose workers do nothing waits without end, is let go when the process ends, and is gone on with at once by the next.
func TestReplayGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{events: 1000}
		first := start(t, s)
		if err := first.Begin(t.Context(), history.Filter{}); err != nil {
			t.Fatal(err)
		}
		for range 60 { // longer than any lease
			wait(t)
		}
		if s.holder != 1 {
			t.Errorf("it was taken %d times", s.holder)
		}
		stop(t, first)
		if p, running := s.latest(); !running || p.Events != 300 || time.Now().Before(s.until) {
			t.Errorf("%+v, running %t", p, running)
		}
		s.work = 50
		second := start(t, s)
		defer stop(t, second)
		for running := true; running; _, running = s.latest() {
			wait(t)
		}
		s.checkOnce(t, 1000)
	})
}

// Whoever lost a replay to another stops, and changes nothing any more.
func TestReplayIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{events: 1000}
		paused := start(t, s)
		defer stop(t, paused)
		if err := paused.Begin(t.Context(), history.Filter{}); err != nil {
			t.Fatal(err)
		}
		wait(t)
		s.mutex.Lock()
		s.work, s.until = 50, time.Time{} // its lease is over, as after a long pause
		s.mutex.Unlock()
		other := start(t, s)
		defer stop(t, other)
		for running := true; running; _, running = s.latest() {
			wait(t)
		}
		if s.checkOnce(t, 1000); s.holder != 2 {
			t.Errorf("it was taken %d times", s.holder)
		}
	})
}

// A replay whose store is broken for long is given up.
func TestReplayIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{failing: 1000}
		r := start(t, s)
		defer stop(t, r)
		if err := r.Begin(t.Context(), history.Filter{}); err != nil {
			t.Fatal(err)
		}
		for running := true; running; _, running = s.latest() {
			wait(t)
		}
		if !s.ended.Failed {
			t.Error("a broken store is no failure")
		}
	})
}

// wait lets a second of the bubble's clock pass.
func wait(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 1_000_000_000)
	defer cancel()
	<-ctx.Done()
}
