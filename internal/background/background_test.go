package background_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func stop(t *testing.T, s *background.Service) {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLoop runs loops on the clock of a synctest bubble and compares the times of their passes.
func TestLoop(t *testing.T) {
	t.Parallel()
	failure := errors.New("the disk is full")
	for name, row := range map[string]struct {
		pause    time.Duration
		failures int // passes that fail, from the first on
		wake     []time.Duration
		span     time.Duration
		passes   []time.Duration
		reports  []time.Duration
	}{
		"at intervals": {
			pause: time.Second, span: 3500 * time.Millisecond,
			passes: []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second},
		},
		"woken": {
			pause: time.Hour, wake: []time.Duration{time.Second, 3 * time.Second}, span: time.Minute,
			passes: []time.Duration{0, time.Second, 3 * time.Second},
		},
		"woken after a failure": {
			pause: 10 * time.Second, failures: 1, wake: []time.Duration{time.Second}, span: 15 * time.Second,
			passes: []time.Duration{0, 10 * time.Second, 10 * time.Second}, reports: []time.Duration{0},
		},
		"a lasting failure": {
			pause: 30 * time.Second, failures: 5, span: 140 * time.Second,
			passes:  []time.Duration{0, 30 * time.Second, time.Minute, 90 * time.Second, 2 * time.Minute},
			reports: []time.Duration{0, time.Minute, 2 * time.Minute},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				var passes, reports []time.Duration
				wake := make(chan struct{}, 1)
				s := background.New("test", background.Loop{
					Pass: func(context.Context) (time.Duration, error) {
						passes = append(passes, time.Since(begun))
						if len(passes) <= row.failures {
							return row.pause, failure
						}
						return row.pause, nil
					},
					Wake: wake,
					Failed: func(err error) {
						if !errors.Is(err, failure) {
							t.Errorf("Failed(%v), want %v", err, failure)
						}
						reports = append(reports, time.Since(begun))
					},
				})
				s.Start()
				s.Start() // changes nothing
				for _, at := range row.wake {
					time.Sleep(at - time.Since(begun)) //nolint:forbidigo // on the bubble's clock
					wake <- struct{}{}
				}
				time.Sleep(row.span - time.Since(begun)) //nolint:forbidigo // on the bubble's clock
				stop(t, s)
				stop(t, s) // changes nothing
				if diff := cmp.Diff(row.passes, passes); diff != "" {
					t.Errorf("passes (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(row.reports, reports); diff != "" {
					t.Errorf("reports (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("before Start", func(t *testing.T) {
		t.Parallel()
		stop(t, background.New("test", background.Loop{}))
	})
	t.Run("ends the context of the pass and reports no error of it", func(t *testing.T) {
		t.Parallel()
		s := background.New("test", background.Loop{
			Pass: background.Every(time.Hour, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}),
			Failed: func(err error) { t.Errorf("Failed(%v), want no call", err) },
		})
		s.Start()
		stop(t, s)
	})
	t.Run("returns an error at the end of its context", func(t *testing.T) {
		t.Parallel()
		entered, leave := make(chan struct{}), make(chan struct{})
		s := background.New("test", background.Loop{Pass: background.Every(time.Hour, func(context.Context) error {
			close(entered)
			<-leave
			return nil
		})})
		s.Start()
		<-entered
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Stop(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Stop = %v, want %v", err, context.Canceled)
		}
		close(leave)
		stop(t, s)
	})
}

func TestPassed(t *testing.T) {
	t.Parallel()
	s := background.New("test", background.Loop{Pass: background.Every(time.Millisecond, func(context.Context) error { return nil })})
	passed := s.Passed.Listen()
	s.Start()
	<-passed
	<-passed
	stop(t, s)
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if err := background.Sleep(t.Context(), time.Minute); err != nil || time.Since(begun) != time.Minute {
			t.Errorf("Sleep = %v after %s, want nil after %s", err, time.Since(begun), time.Minute)
		}
		limited, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := background.Sleep(limited, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sleep = %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		initial, limit time.Duration
		failures       int
		want           time.Duration
	}{
		"first":                      {initial: time.Second, limit: time.Hour, failures: 0, want: time.Second},
		"doubled":                    {initial: time.Second, limit: time.Hour, failures: 3, want: 8 * time.Second},
		"limited":                    {initial: time.Second, limit: 10 * time.Second, failures: 4, want: 10 * time.Second},
		"very often":                 {initial: time.Second, limit: time.Hour, failures: 1 << 30, want: time.Hour},
		"initial is above the limit": {initial: 2 * time.Hour, limit: time.Hour, failures: 3, want: 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := background.Backoff(row.initial, row.limit, row.failures); got != row.want {
				t.Errorf("Backoff(%s, %s, %d) = %s, want %s", row.initial, row.limit, row.failures, got, row.want)
			}
		})
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	const pause = 8 * time.Second
	for range 1000 {
		if got := background.Jitter(pause); got < pause || got > pause+time.Second {
			t.Fatalf("Jitter(%s) = %s, want between %s and %s", pause, got, pause, pause+time.Second)
		}
	}
	if got := background.Jitter(0); got != 0 {
		t.Errorf("Jitter(0) = %s, want 0", got)
	}
}
