// Package background runs loops beside the rest of a program: they start, wait for an interval or a wake-up, report a lasting
// failure once a minute, and stop.
package background

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// reportInterval is the shortest time between two reports of a failure that lasts.
const reportInterval = time.Minute

// Loop is work that is repeated.
type Loop struct {
	// Pass does the work once and returns the pause until the next pass. Its context ends with the loop.
	Pass func(ctx context.Context) (pause time.Duration, err error)
	// Wake ends a pause early when it receives a value; nil if nothing does. It does not shorten the pause after an error.
	Wake <-chan struct{}
	// Failed receives an error of Pass, at most once a minute and not after the end of the loop. It may be nil.
	Failed func(err error)
}

// Every returns a Pass that calls do and pauses for the interval, also after an error.
func Every(interval time.Duration, do func(ctx context.Context) error) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) { return interval, do(ctx) }
}

// Run makes the first pass at once and the others after their pauses, until ctx ends.
func (l Loop) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var reported time.Time
	wake := l.Wake
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-timer.C:
		}
		if ctx.Err() != nil { // select chooses at random when several channels are ready
			return
		}
		pause, err := l.Pass(ctx)
		wake = l.Wake
		if err != nil {
			wake = nil
			if l.Failed != nil && ctx.Err() == nil && (reported.IsZero() || time.Since(reported) >= reportInterval) {
				reported = time.Now()
				l.Failed(err)
			}
		}
		timer.Reset(pause)
	}
}

// Service runs a loop in a goroutine of its own. It is safe for use by many goroutines.
type Service struct {
	Passed Signal // sent at the end of each pass

	name string // for errors
	loop Loop

	mutex  sync.Mutex
	cancel context.CancelFunc // nil before Start and after Stop
	done   chan struct{}
}

// New returns a service that is not started. The name begins its errors.
func New(name string, loop Loop) *Service { return &Service{name: name, loop: loop} }

// Start runs the loop until Stop. It does nothing if the loop is running.
func (s *Service) Start() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.cancel, s.done = cancel, done
	go func() {
		defer close(done)
		loop := s.loop
		loop.Pass = s.pass
		loop.Run(ctx)
	}()
}

func (s *Service) pass(ctx context.Context) (time.Duration, error) {
	defer s.Passed.Send()
	return s.loop.Pass(ctx)
}

// Stop cancels the loop and waits for the end of its pass, or for the end of ctx, which is an error. It does nothing before Start.
func (s *Service) Stop(ctx context.Context) error {
	s.mutex.Lock()
	cancel, done := s.cancel, s.done
	s.cancel = nil
	s.mutex.Unlock()
	if cancel != nil {
		cancel()
	}
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: stop: %w", s.name, ctx.Err())
	}
}

// Sleep waits for the duration. It returns the error of ctx if that ends before.
func Sleep(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Backoff returns the pause after so many failures, from 0: initial, doubled with each failure up to the limit. It is never
// shorter than initial.
func Backoff(initial, limit time.Duration, failures int) time.Duration {
	pause := initial
	for range failures {
		if pause >= limit/2 {
			return max(initial, limit)
		}
		pause *= 2
	}
	return pause
}

// Jitter returns the pause plus up to an eighth of it at random, so that those who failed together do not return together.
func Jitter(pause time.Duration) time.Duration { return pause + rand.N(pause/8+1) }

// Signal reports to a test that something happened, so that the test waits instead of polling. The zero value has no listener, as in
// the program, and Send does nothing then.
type Signal struct{ listener chan struct{} }

// Listen returns a channel that receives a value for each Send from now on; those beyond its buffer are dropped. It must be
// called before the sender starts.
func (s *Signal) Listen() <-chan struct{} {
	const buffer = 100
	s.listener = make(chan struct{}, buffer)
	return s.listener
}

// Send notifies the listener. It never blocks.
func (s *Signal) Send() {
	select {
	case s.listener <- struct{}{}:
	default: // no listener, or it has not read the values before
	}
}
