package handlertest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/google/go-cmp/cmp"
)

func succeeds(t *testing.T, s *stage) {
	t.Helper()
	for _, e := range s.Good {
		s.must(t, e)
	}
	if len(s.Effects(t)) == 0 {
		t.Error("effects of two good events = none, want some")
	}
}

// repeats replays an event with its recorded artifacts.
func repeats(t *testing.T, s *stage) {
	t.Helper()
	e := s.Good[0]
	e.Artifacts = s.must(t, e).Artifacts
	before := s.Effects(t)
	s.must(t, e) // checks that no index comes twice
	sameEffects(t, before, s.Effects(t))
}

// repeatsWithoutRecord repeats an attempt that crashed before its outcome was recorded.
func repeatsWithoutRecord(t *testing.T, s *stage) {
	t.Helper()
	first := s.must(t, s.Good[0])
	before := s.Effects(t)
	second := s.must(t, s.Good[0])
	sameEffects(t, before, s.Effects(t))
	sameArtifacts(t, first.Artifacts, second.Artifacts)
}

func sameEffects(t *testing.T, before, after map[string]string) {
	t.Helper()
	if !maps.Equal(before, after) {
		t.Errorf("effects changed (-want +got):\n%s", cmp.Diff(before, after))
	}
}

// sameArtifacts compares all fields but the time of storage.
func sameArtifacts(t *testing.T, first, second []event.Artifact) {
	t.Helper()
	same := slices.EqualFunc(first, second, func(a, b event.Artifact) bool {
		b.Stored = a.Stored
		return a == b
	})
	if !same {
		t.Errorf("artifacts differ (-want +got):\n%s", cmp.Diff(first, second))
	}
}

func cancelledBefore(t *testing.T, s *stage) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	started := time.Now()
	_, err := s.handle(ctx, t, s.Good[0])
	endedBy(t, err, context.Canceled, time.Since(started))
}

func cancelledDuring(t *testing.T, s *stage) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	var cancelled time.Time
	group.Go(func() {
		select {
		case <-s.Reached:
		case <-ctx.Done():
		}
		cancelled = time.Now()
		cancel()
	})
	_, err := s.handle(ctx, t, s.Hanging)
	returned := time.Now()
	cancel()
	group.Wait()
	endedBy(t, err, context.Canceled, returned.Sub(cancelled))
}

func deadline(t *testing.T, s *stage) {
	t.Helper()
	const allowed = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), allowed)
	defer cancel()
	started := time.Now()
	_, err := s.handle(ctx, t, s.Hanging)
	endedBy(t, err, context.DeadlineExceeded, time.Since(started)-allowed)
	if failure := handler.Classify(err); failure != nil && failure.Reason != event.ReasonTimeout {
		t.Errorf("reason = %q, want %q", failure.Reason, event.ReasonTimeout)
	}
}

// endedBy checks an attempt that returned this long after its context ended.
func endedBy(t *testing.T, err, cause error, after time.Duration) {
	t.Helper()
	switch {
	case !errors.Is(err, cause):
		t.Errorf("error = %v, want that of the context: %v", err, cause)
	case handler.Classify(err).Action == event.ActionFail:
		t.Errorf("action at the end of the context = fail, want retry: %v", err)
	case after > promptly:
		t.Errorf("returned %s after the end of the context, want at most %s", after, promptly)
	}
}

func permanent(t *testing.T, s *stage) {
	t.Helper()
	for name, e := range s.Permanent {
		_, err := s.handle(t.Context(), t, e)
		if failure := failed(t, name, err); failure != nil && failure.Action != event.ActionFail {
			t.Errorf("%s: action = %s, want fail: %v", name, failure.Action, err)
		}
	}
}

func failing(t *testing.T, s *stage) {
	t.Helper()
	for name, e := range s.Failing {
		_, err := s.handle(t.Context(), t, e)
		if failure := failed(t, name, err); failure != nil && failure.Action == event.ActionFail {
			t.Errorf("%s: action = fail, want another: %v", name, err)
		}
	}
}

// failed returns the classified error. The test fails if there is none.
func failed(t *testing.T, name string, err error) *handler.Error {
	t.Helper()
	failure := handler.Classify(err)
	switch {
	case failure == nil:
		t.Errorf("%s: error = nil, want one", name)
	case !failure.Reason.Valid():
		t.Errorf("%s: reason = %q, want one of event.Reasons", name, failure.Reason)
	case failure.Error() == "":
		t.Errorf("%s: text of the error is empty, want one", name)
	}
	return failure
}

// together handles one event in many workers, as after a job was rescued that was not stuck.
func together(t *testing.T, s *stage) {
	t.Helper()
	const workers = 8
	outcomes := make([]handler.Outcome, workers)
	var group sync.WaitGroup
	for n := range workers {
		group.Go(func() {
			outcome, err := s.handle(t.Context(), t, s.Good[0])
			if err != nil {
				t.Errorf("worker %d: error = %v, want none", n, err)
			}
			outcomes[n] = outcome
		})
	}
	group.Wait()
	for _, outcome := range outcomes {
		sameArtifacts(t, outcomes[0].Artifacts, outcome.Artifacts)
	}
}

func sideBySide(t *testing.T, s *stage) {
	t.Helper()
	var group sync.WaitGroup
	for _, e := range s.Good {
		group.Go(func() {
			if _, err := s.handle(t.Context(), t, e); err != nil {
				t.Errorf("event %s: error = %v, want none", e.ID, err)
			}
		})
	}
	group.Wait()
}
