// Package relay carries accepted events from the inbox into the work store, in
// batches, exactly once. Where both are in one database that is one transaction, which
// any replica may make. Where each has a file of its own they are first added to the work
// store, in one transaction and only if they are not there yet, and then marked as
// relayed; whatever a crash leaves between the two is found again by its state.
package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

const (
	// batch is how many events are carried in one transaction: many, to share its sync, but not so
	// many that a worker waits long for its turn to write.
	batch = 200
	// fill is how many steps may wait for a worker before the relay lets the rest wait in the
	// inbox, where waiting costs nothing.
	fill = 2000
	// interval is how long the relay sleeps at most when nobody wakes it, and after a failure.
	interval = time.Second
	// fullInterval is how often it looks whether a full work store has room again.
	fullInterval = 20 * time.Millisecond
	// complainEvery is how often a failure that lasts is logged.
	complainEvery = time.Minute
)

// Work is where events go.
type Work interface {
	Add(ctx context.Context, take workflow.Take, stages [][]string) (int, error)
	Pending(ctx context.Context, handler string, limit int) (int, error)
}

// Relay carries events until it is stopped.
type Relay struct {
	waiting func() <-chan struct{} // gives a token when there may be something to carry
	carry   func(ctx context.Context) (carried int, err error)
	work    Work
	first   []string // handlers of the first stage, whose steps say how full the work store is
	log     zerolog.Logger
	cancel  context.CancelFunc
	done    chan struct{}

	complained time.Time // when a failure was logged last
}

// Start begins to carry; Stop ends it.
func (r *Relay) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.run(ctx)
}

// Stop ends the relay after the batch it is carrying, or gives up waiting for that when ctx ends.
func (r *Relay) Stop(ctx context.Context) error {
	if r.cancel == nil {
		return nil
	}
	r.cancel()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("relay: stop: %w", ctx.Err())
	}
}

func (r *Relay) run(ctx context.Context) {
	defer close(r.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	waiting := r.waiting()
	for {
		select {
		case <-ctx.Done():
			return
		case <-waiting:
		case <-timer.C:
		}
		pause, err := r.drain(ctx)
		waiting = r.waiting()
		if err != nil {
			waiting = nil // whoever commits now must not make us try again at once
			r.complain(ctx, err)
		}
		timer.Reset(pause)
	}
}

// drain carries batches until nothing waits, the work store is full or something
// fails, and says how long to sleep then.
func (r *Relay) drain(ctx context.Context) (time.Duration, error) {
	for ctx.Err() == nil {
		full, err := r.isFull(ctx)
		if err != nil {
			return interval, err
		}
		if full {
			return fullInterval, nil
		}
		carried, err := r.carry(ctx)
		if err != nil || carried < batch {
			return interval, err
		}
	}
	return interval, nil
}

// isFull says that every handler that begins with an event has enough to do. One that is behind
// alone, as when its target is slow, does not keep events from the others.
func (r *Relay) isFull(ctx context.Context) (bool, error) {
	for _, name := range r.first {
		pending, err := r.work.Pending(ctx, name, fill)
		if err != nil || pending < fill {
			return false, err
		}
	}
	return true, nil
}

// complain logs a failure, but not every second while it lasts.
func (r *Relay) complain(ctx context.Context, err error) {
	if ctx.Err() != nil || time.Since(r.complained) < complainEvery {
		return
	}
	r.complained = time.Now()
	r.log.Error().Err(err).Msg("relay failed; it tries again")
}
