package workflow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// shiftClock makes the clock of the database jump by d for a process that has noticed it.
func shiftClock(t *testing.T, s *workflowtest.Stores, d time.Duration) {
	t.Helper()
	reading, err := s.DB.ReadClock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.DB.AdoptClock(reading.Shifted(d))
}

// retrying brings a step into retrying, to be tried again after delay.
func retrying(t *testing.T, s *workflowtest.Stores, n int, delay time.Duration) {
	t.Helper()
	s.Add(t, workflowtest.Entry(n))
	s.Finish(t, s.Begin(t, n, "download"), workflow.Result{
		State: event.Retrying, Action: event.ActionRetry, Reason: event.ReasonTimeout, NextAt: s.DB.Now().Add(delay),
	})
}

// wait returns for how long the step may not begin.
func wait(t *testing.T, s *workflowtest.Stores, n int) time.Duration {
	t.Helper()
	_, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(n).ID, Handler: "download"})
	early, ok := errors.AsType[*workflow.NotYetError](err)
	if !ok {
		t.Fatalf("Begin: error = %v, want that the step is due later", err)
	}
	return early.After
}

func wantNear(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if (got - want).Abs() > 30*time.Second {
		t.Errorf("%s = %s, want about %s", what, got, want)
	}
}

// F6: the clock of the database decides what is due, not that of this machine.
func TestClockOfTheDatabaseDecides(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		shiftClock(t, s, -time.Hour) // this machine is an hour ahead
		retrying(t, s, 1, 10*time.Minute)
		wantNear(t, "F6: wait", wait(t, s, 1), 10*time.Minute)
	})
}

// F12: a jump of the clock changes neither ages nor, when it goes back, the delays of next attempts.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name       string
		jump       time.Duration
		delay, age time.Duration // of the next attempt; the age when that begins
	}{
		{name: "F12 six hours back", jump: -6 * time.Hour, delay: 10 * time.Minute, age: 11 * time.Minute},
		{name: "F12 fifty seconds back", jump: -50 * time.Second, delay: 10 * time.Minute, age: 11 * time.Minute},
		{name: "F12 eighty hours ahead", jump: 80 * time.Hour, age: 11 * time.Minute},
	}
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		if _, err := s.Workflow.CorrectStart(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		shift := time.Duration(0) // of the clock so far
		for n, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				retrying(t, s, n+1, 10*time.Minute)
				exec(t, s, "UPDATE clock SET seen_at = $1", s.DB.Now().UnixMicro())
				reading, err := s.DB.ReadClock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				shift += row.jump
				corrected, err := s.Workflow.CorrectJump(t.Context(), reading.Shifted(shift))
				wantNear(t, "correction", corrected, row.jump)
				if err != nil {
					t.Fatal(err)
				}
				if row.delay > 0 {
					wantNear(t, "wait", wait(t, s, n+1), row.delay)
				}
				shift += 11 * time.Minute // pass, so that the step is due
				shiftClock(t, s, shift)
				wantNear(t, "age", s.Begin(t, n+1, "download").Age, row.age)
			})
		}
	})
}

// F12: a jump of the clock neither delays the probes of a disabled target nor ends them.
func TestProbesWhenTheClockJumps(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		jump time.Duration
	}{
		{name: "F12 six hours back", jump: -6 * time.Hour},
		{name: "F12 eighty hours ahead", jump: 80 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				if _, err := s.Workflow.CorrectStart(t.Context(), time.Hour); err != nil {
					t.Fatal(err)
				}
				fail := func(a workflow.Attempt) {
					result := gone()
					result.NextAt = s.DB.Now()
					s.Finish(t, a, result)
				}
				s.Add(t, workflowtest.Entry(1))
				fail(s.Begin(t, 1, "download"))
				reading, err := s.DB.ReadClock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Workflow.CorrectJump(t.Context(), reading.Shifted(row.jump)); err != nil {
					t.Fatal(err)
				}
				for hours := range 3 {
					shiftClock(t, s, row.jump+time.Duration(hours+1)*61*time.Minute)
					resume(t, s, "download", false, 100, 1)
					probe := s.Begin(t, 1, "download")
					if !probe.Probe {
						t.Errorf("attempt after %d hours = %+v, want a probe", hours+1, probe)
					}
					fail(probe)
				}
			})
		})
	}
}

// F12: at a start, a time without a process does not count as age, and a clock that went back delays nothing.
func TestClockAtStart(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name        string
		seen        time.Duration // when a process last looked, from now
		delay       time.Duration // of the next attempt
		gap, wait   time.Duration // wait 0: due
		age, before time.Duration // of the step, at the end and before
	}{
		{name: "F12 restart", seen: -20 * time.Second, delay: 10 * time.Minute, wait: 10 * time.Minute},
		{name: "F12 stopped for three days", seen: -72 * time.Hour, delay: -71 * time.Hour, gap: 72 * time.Hour, before: 73 * time.Hour, age: time.Hour},
		{name: "F12 the clock went back", seen: 6 * time.Hour, delay: 6*time.Hour + 10*time.Minute, gap: -6 * time.Hour, wait: 10 * time.Minute},
		{name: "F12 a next attempt in a distant future", seen: -time.Second, delay: 300 * time.Hour, wait: time.Hour},
	}
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		if gap, err := s.Workflow.CorrectStart(t.Context(), time.Hour); gap != 0 || err != nil {
			t.Fatalf("first start: correction = %s, error %v; want none", gap, err)
		}
		for n, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				retrying(t, s, n+1, row.delay)
				now := s.DB.Now()
				exec(t, s, "UPDATE clock SET seen_at = $1", now.Add(row.seen).UnixMicro())
				exec(t, s, "UPDATE steps SET since = $1 WHERE event_id = $2 AND handler = 'download'", now.Add(-row.before).UnixMicro(), string(workflowtest.Entry(n+1).ID))
				gap, err := s.Workflow.CorrectStart(t.Context(), time.Hour)
				wantNear(t, "correction", gap, row.gap)
				if err != nil {
					t.Fatal(err)
				}
				if again, err := s.Workflow.CorrectStart(t.Context(), time.Hour); again != 0 || err != nil {
					t.Errorf("another replica: correction = %s, error %v; want none", again, err)
				}
				if row.wait > 0 {
					wantNear(t, "wait", wait(t, s, n+1), row.wait)
					return
				}
				wantNear(t, "age", s.Begin(t, n+1, "download").Age, row.age)
			})
		}
	})
}

func exec(t *testing.T, s *workflowtest.Stores, statement string, args ...any) {
	t.Helper()
	if _, err := s.DB.Writer.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}
