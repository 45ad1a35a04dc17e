// Package relay carries accepted events from the inbox into the work store, in batches, exactly once. In Postgres both are in one
// database: each batch is one transaction, which any replica may make. In SQLite each has a file of its own: a batch is first
// added to the work store, which ignores events that it has, and then marked as relayed in the inbox. A batch that a crash
// leaves between the two is carried again.
package relay

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/rs/zerolog"
)

const (
	// batch is the number of events in one transaction: many, to share its sync, but not so many that a worker waits long to write.
	batch = 200
	// maxPending is how many steps of a handler may wait for a worker before events stay in the inbox, where waiting costs nothing.
	maxPending = 2000
	// interval is the pause without a wake-up from the inbox, and after a failure.
	interval = time.Second
	// fullInterval is the pause while the work store is full.
	fullInterval = 20 * time.Millisecond
)

// Inbox is where events come from.
type Inbox interface {
	Waiting() <-chan struct{}
	Unrelayed(ctx context.Context, limit int) ([]event.Entry, error)
	Relayed(ctx context.Context, sequences []int64) error
}

// Workflow is where events go.
type Workflow interface {
	Add(ctx context.Context, take func(context.Context, *sql.Tx) ([]event.Entry, error), stages [][]string) (int, error)
	Pending(ctx context.Context, handler string, limit int) (int, error)
}

// Config describes what a relay connects.
type Config struct {
	Inbox    Inbox
	Workflow Workflow
	// OneDatabase is set when the inbox and the work store are in one Postgres database, so that a transaction covers both.
	OneDatabase bool
	// Stages are the handlers of each stage. An event gets a step for each handler; a stage waits for those before it.
	Stages [][]string
	Log    zerolog.Logger
}

// Relay carries events from Start until Stop.
type Relay struct {
	*background.Service

	config Config
}

// New returns a relay that is not started.
func New(config Config) *Relay {
	r := &Relay{config: config}
	r.Service = background.New("relay", background.Loop{
		Pass:   r.drain,
		Wake:   config.Inbox.Waiting(),
		Failed: func(err error) { config.Log.Error().Err(err).Msg("relaying events failed, will retry") },
	})
	return r
}

// drain carries batches until the inbox is empty, the work store is full or a batch fails. It returns the pause that follows.
func (r *Relay) drain(ctx context.Context) (time.Duration, error) {
	for ctx.Err() == nil {
		full, err := r.isFull(ctx)
		if err != nil {
			return interval, err
		}
		if full {
			return fullInterval, nil
		}
		n, err := r.carry(ctx)
		if err != nil {
			return interval, fmt.Errorf("relay: %w", err)
		}
		if n < batch {
			break
		}
	}
	return interval, nil
}

// isFull reports whether each handler of the first stage has enough to do. A single slow handler does not keep events from the others.
func (r *Relay) isFull(ctx context.Context) (bool, error) {
	for _, name := range r.config.Stages[0] {
		pending, err := r.config.Workflow.Pending(ctx, name, maxPending)
		if err != nil || pending < maxPending {
			return false, err
		}
	}
	return true, nil
}

// carry moves one batch and returns the number of its events.
func (r *Relay) carry(ctx context.Context) (int, error) {
	if r.config.OneDatabase {
		return r.config.Workflow.Add(ctx, func(ctx context.Context, tx *sql.Tx) ([]event.Entry, error) {
			return inbox.Claim(ctx, tx, batch)
		}, r.config.Stages)
	}
	entries, err := r.config.Inbox.Unrelayed(ctx, batch)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	take := func(context.Context, *sql.Tx) ([]event.Entry, error) { return entries, nil }
	if _, err := r.config.Workflow.Add(ctx, take, r.config.Stages); err != nil {
		return 0, err
	}
	sequences := make([]int64, len(entries))
	for i, e := range entries {
		sequences[i] = e.Sequence
	}
	return len(entries), r.config.Inbox.Relayed(ctx, sequences)
}
