package forward

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"
)

// maxRequestedPause bounds how long a target can put off the next probe with Retry-After.
const maxRequestedPause = 5 * time.Minute

// spacing is the time between two deferred steps: many of them must not keep the store busy while their target is down.
const spacing = 50 * time.Millisecond

// circuit is the circuit breaker of a target. It opens after failures in a row and defers all steps. After a pause one
// step is a probe; the others are deferred until it has a response. A probe that fails costs its step no attempt.
type circuit struct {
	breaker *gobreaker.CircuitBreaker[handler.Outcome]
	host    string
	pause   time.Duration

	mutex sync.Mutex
	last  *handler.Error // the last failure of the target
	probe time.Time      // of the next probe; zero while the circuit is closed
	next  time.Time      // when the last deferred step runs again

	requested time.Time // of the next probe, as the target asked with Retry-After
}

func newCircuit(host string, config Config, log zerolog.Logger) *circuit {
	c := &circuit{host: host, pause: config.CircuitPause}
	c.breaker = gobreaker.NewCircuitBreaker[handler.Outcome](gobreaker.Settings{
		Name:        host,
		MaxRequests: 1,
		Timeout:     c.pause,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.ConsecutiveFailures >= uint32(config.CircuitFailures)
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			log.Warn().Str("target", host).Stringer("circuit", to).Msg("circuit changed")
			c.changed(to)
		},
		IsSuccessful: func(err error) bool { return !isFailure(err) },
		IsExcluded:   isInconclusive,
	})
	return c
}

// CircuitOpen reports whether steps are deferred because the target keeps failing, with or without a probe under way.
func (h *Handler) CircuitOpen() bool { return h.circuit.breaker.State() != gobreaker.StateClosed }

// isFailure reports whether an error counts against the target. A target that refuses an event works.
func isFailure(err error) bool {
	failure := handler.Classify(err)
	return failure != nil && (failure.Action == event.ActionRetry || failure.Action == event.ActionHold || failure.Cause == event.CauseOutage)
}

// isInconclusive reports whether an error says nothing about the health of the target.
func isInconclusive(err error) bool {
	_, isSource := errors.AsType[*sourceError](err)
	failure := handler.Classify(err)
	return isSource || errors.Is(err, context.Canceled) ||
		failure != nil && failure.Action == event.ActionDefer && failure.Cause != event.CauseOutage
}

// changed records when the next probe is due.
func (c *circuit) changed(to gobreaker.State) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.probe, c.next = time.Time{}, time.Time{}
	if to != gobreaker.StateClosed {
		c.probe = time.Now().Add(c.pause)
	}
}

// do makes a call, or defers it while the circuit is open.
func (c *circuit) do(call func() (handler.Outcome, error)) (handler.Outcome, error) {
	if c.isPaused(time.Now()) {
		return handler.Outcome{}, c.deferred(time.Now())
	}
	outcome, err := c.breaker.Execute(func() (handler.Outcome, error) {
		isProbe := c.breaker.State() != gobreaker.StateClosed
		outcome, err := call()
		if isProbe && isFailure(err) && !isInconclusive(err) {
			failure := handler.Classify(err)
			err = handler.Defer(max(c.pause, min(failure.Delay, maxRequestedPause)), event.CauseOutage, failure.Reason, failure.Err)
		}
		return outcome, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return handler.Outcome{}, c.deferred(time.Now())
	}
	if isFailure(err) && !isInconclusive(err) {
		c.failed(handler.Classify(err))
	}
	return outcome, err
}

// failed records a failure of the target and the time until the next probe that it asked for.
func (c *circuit) failed(failure *handler.Error) {
	isOpen := c.breaker.State() == gobreaker.StateOpen
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.last, c.requested = failure, time.Time{}
	if isOpen && failure.Delay > 0 {
		c.requested = time.Now().Add(min(failure.Delay, maxRequestedPause))
	}
}

// isPaused reports whether the target asked for a later probe than the one of the circuit breaker.
func (c *circuit) isPaused(now time.Time) bool {
	if c.breaker.State() == gobreaker.StateClosed {
		return false
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.requested.After(now)
}

// deferred returns an error that defers a step until the next probe or later, spaced from the one before.
func (c *circuit) deferred(now time.Time) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	earliest := c.probe
	if c.requested.After(earliest) {
		earliest = c.requested
	}
	if earliest.Before(now) { // the probe is under way
		earliest = now.Add(c.pause / 2)
	}
	if c.next = c.next.Add(spacing); c.next.Before(earliest) {
		c.next = earliest
	}
	reason, cause := event.ReasonOther, errors.New("it failed")
	if c.last != nil {
		reason, cause = c.last.Reason, c.last
	}
	delay := c.next.Sub(now) + rand.N(spacing)
	return handler.Defer(delay, event.CauseNone, reason, fmt.Errorf("requests to %s are deferred until it works again; the last one failed: %w", c.host, cause))
}
