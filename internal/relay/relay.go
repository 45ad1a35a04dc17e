// Package relay carries accepted events from the inbox into the work store, in
// batches, exactly once: first they are added there, in one transaction and only
// if they are not there yet, then they are marked as relayed. Whatever a crash
// leaves between the two is found again by its state.
package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/work"
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

// Inbox is where events come from.
type Inbox interface {
	Waiting() <-chan struct{}
	Unrelayed(ctx context.Context, limit int) ([]inbox.Entry, error)
	Relayed(ctx context.Context, sequences []int64) error
}

// Work is where they go.
type Work interface {
	Add(ctx context.Context, arrivals []work.Arrival, handlers []string) error
	Pending(ctx context.Context, handler string, limit int) (int, error)
}

// Relay carries events until it is stopped.
type Relay struct {
	inbox    Inbox
	work     Work
	handlers []string
	log      zerolog.Logger
	cancel   context.CancelFunc
	done     chan struct{}

	complained time.Time // when a failure was logged last
}

// New makes a relay that gives every event one step for each handler, in this order.
func New(inbox Inbox, work Work, handlers []string, log zerolog.Logger) *Relay {
	return &Relay{inbox: inbox, work: work, handlers: handlers, log: log, done: make(chan struct{})}
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
	waiting := r.inbox.Waiting()
	for {
		select {
		case <-ctx.Done():
			return
		case <-waiting:
		case <-timer.C:
		}
		pause, err := r.drain(ctx)
		waiting = r.inbox.Waiting()
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
		pending, err := r.work.Pending(ctx, r.handlers[0], fill)
		if err != nil {
			return interval, err
		}
		if pending >= fill {
			return fullInterval, nil
		}
		carried, err := r.carry(ctx)
		if err != nil || carried < batch {
			return interval, err
		}
	}
	return interval, nil
}

// complain logs a failure, but not every second while it lasts.
func (r *Relay) complain(ctx context.Context, err error) {
	if ctx.Err() != nil || time.Since(r.complained) < complainEvery {
		return
	}
	r.complained = time.Now()
	r.log.Error().Err(err).Msg("relay failed; it tries again")
}

// carry moves one batch and says how many events it had.
func (r *Relay) carry(ctx context.Context) (int, error) {
	entries, err := r.inbox.Unrelayed(ctx, batch)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	arrivals := make([]work.Arrival, len(entries))
	sequences := make([]int64, len(entries))
	for i, e := range entries {
		arrivals[i] = work.Arrival{Sequence: e.Sequence, ID: e.ID, Job: e.Job, Received: e.Received, Bytes: e.Bytes}
		sequences[i] = e.Sequence
	}
	if err := r.work.Add(ctx, arrivals, r.handlers); err != nil {
		return 0, fmt.Errorf("relay: %w", err)
	}
	if err := r.inbox.Relayed(ctx, sequences); err != nil {
		return 0, fmt.Errorf("relay: %w", err)
	}
	return len(entries), nil
}
