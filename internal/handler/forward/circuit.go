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

// spacing is the time between two parked steps that come back: many of them must not keep the
// store busy while their target is down.
const spacing = 50 * time.Millisecond

// circuit leaves a target alone after failures in a row. What is to be sent meanwhile is parked;
// after a pause the first that comes is a probe, and the others are parked until that has an answer.
type circuit struct {
	breaker *gobreaker.CircuitBreaker[handler.Outcome]
	host    string
	pause   time.Duration

	mutex sync.Mutex
	last  *handler.Error // the latest failure
	probe time.Time      // when the target is tried again; zero while it is not left alone
	turn  time.Time      // when the latest of those that are parked comes back
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
		IsExcluded:   saysNothing,
	})
	return c
}

// isFailure says whether the target is to be blamed. Who refuses a call has answered it.
func isFailure(err error) bool {
	failure := handler.Classify(err)
	return failure != nil && (failure.Action == event.ActionRetry || failure.Action == event.ActionHold)
}

// saysNothing is for errors by which nobody can tell how the target is.
func saysNothing(err error) bool {
	source, ok := errors.AsType[*sourceError](err)
	failure := handler.Classify(err)
	return ok && source != nil || errors.Is(err, context.Canceled) || failure != nil && failure.Action == event.ActionDefer
}

// changed keeps in mind when the target is tried again.
func (c *circuit) changed(to gobreaker.State) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.probe, c.turn = time.Time{}, time.Time{}
	if to != gobreaker.StateClosed {
		c.probe = time.Now().Add(c.pause)
	}
}

// do makes a call, or parks it.
func (c *circuit) do(call func() (handler.Outcome, error)) (handler.Outcome, error) {
	outcome, err := c.breaker.Execute(call)
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return handler.Outcome{}, c.park(time.Now())
	}
	if isFailure(err) && !saysNothing(err) {
		c.remember(err)
	}
	return outcome, err
}

func (c *circuit) remember(err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.last = handler.Classify(err)
}

// park gives a call its time to come back: no sooner than the target is tried again, and one after the other.
func (c *circuit) park(now time.Time) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	earliest := c.probe
	if earliest.Before(now) { // the probe is under way, and takes its time
		earliest = now.Add(c.pause / 2)
	}
	if c.turn = c.turn.Add(spacing); c.turn.Before(earliest) {
		c.turn = earliest
	}
	reason, why := event.ReasonOther, errors.New("it failed")
	if c.last != nil {
		reason, why = c.last.Reason, c.last
	}
	wait := c.turn.Sub(now) + rand.N(spacing)
	return handler.Defer(wait, event.CauseNone, reason, fmt.Errorf("%s is left alone until it works again; the last call failed: %w", c.host, why))
}
