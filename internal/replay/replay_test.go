package replay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/work"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
}

func (s *store) Find(_ context.Context, _ work.Filter, before event.ID, limit int) (lines []work.Line, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.failing > 0 {
		s.failing--
		return nil, errors.New("the disk is slow")
	}
	for n := s.events - 1; n >= 0 && len(lines) < limit; n-- {
		if id := event.ID(fmt.Sprintf("%06d", n)); before == "" || id < before {
			lines = append(lines, work.Line{Event: work.Event{ID: id}})
		}
	}
	return lines, nil
}

func (s *store) Replay(_ context.Context, id event.ID, what work.Replay) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !what.Late || what.Finished {
		return 0, errors.New("what is replayed by the many comes after new work, and is dead")
	}
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

// Every event once, never many at a time, also when the store fails for a while; and only one replay at a time.
func TestReplayIsPaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{events: 1000, work: 50, failing: 3}
		r := replay.New(s, []string{"download"}, zerolog.Nop())
		if err := r.Begin(work.Filter{}); err != nil {
			t.Fatal(err)
		}
		if err := r.Begin(work.Filter{}); !errors.Is(err, replay.ErrBusy) {
			t.Errorf("a second replay: %v", err)
		}
		for r.Progress().Running {
			wait(t)
		}
		p := r.Progress()
		if p.Events != 1000 || p.Steps != 1000 || p.Failed || p.Finished.IsZero() || s.most > 300 {
			t.Errorf("progress %+v, at most %d pending", p, s.most)
		}
		if !slices.IsSortedFunc(s.replayed, func(a, b event.ID) int { return -cmp(a, b) }) || len(slices.Compact(s.replayed)) != 1000 {
			t.Error("not every event once, from the newest on")
		}
		r.Stop()
		if err := r.Begin(work.Filter{}); !errors.Is(err, replay.ErrBusy) {
			t.Errorf("after the stop: %v", err)
		}
	})
}

// A replay whose workers do nothing ends with the process, and one whose store is broken is given up.
func TestReplayEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{events: 1000}
		r := replay.New(s, []string{"download"}, zerolog.Nop())
		if err := r.Begin(work.Filter{}); err != nil {
			t.Fatal(err)
		}
		wait(t)
		r.Stop()
		if p := r.Progress(); p.Running || p.Events != 300 {
			t.Errorf("progress %+v", p)
		}
		broken := replay.New(&store{failing: 1000}, nil, zerolog.Nop())
		if err := broken.Begin(work.Filter{}); err != nil {
			t.Fatal(err)
		}
		for broken.Progress().Running {
			wait(t)
		}
		if !broken.Progress().Failed {
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

func cmp(a, b event.ID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}
