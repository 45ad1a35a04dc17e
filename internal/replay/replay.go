// Package replay runs bulk replays: it replays all dead events that match a filter, the newest first, with a lower
// priority than new events. It replays an event only when few steps wait for a worker.
package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

const (
	// batch is how many events one query finds.
	batch = 100
	// maxPending is how many steps of a handler may wait for a worker while events are replayed. The relay
	// stops adding events only far above it.
	maxPending = 300
	// pendingInterval is the time between two counts of the steps that wait.
	pendingInterval = 100 * time.Millisecond
	// maxFailures is how often in a row the store may fail before a bulk replay ends as failed.
	maxFailures = 30
	// retryPause is the time between two of these failures.
	retryPause = time.Second
	// lease is how long a bulk replay belongs to a replica that does not renew it.
	lease = 30 * time.Second
	// interval is the time between two attempts to acquire a bulk replay.
	interval = 5 * time.Second
	// endTimeout bounds recording the end.
	endTimeout = 2 * time.Second
)

// Events finds the events to replay.
type Events interface {
	Find(ctx context.Context, filter history.Filter, before event.ID, limit int) ([]history.ListItem, error)
}

// Workflow replays one event and counts the steps that wait for a worker.
type Workflow interface {
	Replay(ctx context.Context, id event.ID, what workflow.Replay) (int, error)
	Pending(ctx context.Context, handler string, limit int) (int, error)
}

// BulkReplays keeps the progress of bulk replays; Store implements it.
type BulkReplays interface {
	Create(ctx context.Context, filter history.Filter) error
	Acquire(ctx context.Context, lease time.Duration) (BulkReplay, error)
	Renew(ctx context.Context, r BulkReplay, lease time.Duration) error
	End(ctx context.Context, r BulkReplay, failed bool) error
	ReleaseLease(ctx context.Context) error
}

// Deps is what a Replayer works with.
type Deps struct {
	BulkReplays BulkReplays
	Events      Events
	Workflow    Workflow
	Handlers    []string // whose queues must have free capacity before an event is replayed
	Log         zerolog.Logger
}

// Replayer runs the bulk replay that is in progress, while this replica holds its lease. An interrupted bulk replay resumes at the
// next start, or in another replica. It is safe for use by many goroutines.
type Replayer struct {
	*background.Service
	Deps

	created chan struct{} // receives a value when there is a new bulk replay
}

// New returns a Replayer that is not started.
func New(deps Deps) *Replayer {
	r := &Replayer{Deps: deps, created: make(chan struct{}, 1)}
	r.Service = background.New("replay", background.Loop{
		Pass: r.acquire, Wake: r.created,
		Failed: func(err error) { deps.Log.Error().Err(err).Msg("looking for a bulk replay failed, will retry") },
	})
	return r
}

// Begin starts a bulk replay of the events that match a filter, and returns as soon as it is stored. It returns ErrBusy while another
// one is in progress.
func (r *Replayer) Begin(ctx context.Context, filter history.Filter) error {
	if err := r.BulkReplays.Create(ctx, filter); err != nil {
		return err
	}
	select {
	case r.created <- struct{}{}:
	default: // a value is waiting already
	}
	return nil
}

// Start starts the loop, which resumes the bulk replay of an earlier process.
func (r *Replayer) Start(ctx context.Context) error {
	if err := r.BulkReplays.ReleaseLease(ctx); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	r.Service.Start()
	return nil
}

// acquire runs the bulk replay that no replica holds, if there is one, and returns the pause until the next attempt.
func (r *Replayer) acquire(ctx context.Context) (time.Duration, error) {
	acquired, err := r.BulkReplays.Acquire(ctx, lease)
	if errors.Is(err, database.ErrNotFound) {
		return interval, nil
	}
	if err != nil {
		return retryPause, err
	}
	r.runLeased(ctx, acquired)
	return interval, nil
}

// runLeased runs a bulk replay while this replica holds its lease, and records how it ended.
func (r *Replayer) runLeased(ctx context.Context, b BulkReplay) {
	running, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { r.renew(running, cancel, b) })
	err := r.run(running, b)
	cancel()
	renewing.Wait()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	log := r.Log.With().Str("replay", b.ID).Logger()
	switch {
	case ctx.Err() != nil:
		if err := r.BulkReplays.Renew(ending, b, 0); err != nil { // so that the next process need not wait for the end of the lease
			log.Warn().Err(err).Msg("releasing the bulk replay failed")
		}
	case errors.Is(err, workflow.ErrStale) || errors.Is(err, context.Canceled):
		log.Warn().Msg("bulk replay taken over by another replica")
	default:
		if err := errors.Join(err, r.BulkReplays.End(ending, b, err != nil)); err != nil {
			log.Error().Err(err).Msg("bulk replay failed")
			return
		}
		log.Info().Msg("bulk replay finished")
	}
}

// renew renews the lease until ctx ends. It calls lost when another replica has the bulk replay.
func (r *Replayer) renew(ctx context.Context, lost context.CancelFunc, b BulkReplay) {
	ticker := time.NewTicker(lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := r.BulkReplays.Renew(ctx, b, lease); errors.Is(err, workflow.ErrStale) {
			lost()
			return
		}
	}
}

// run replays the events after the cursor.
func (r *Replayer) run(ctx context.Context, b BulkReplay) error {
	before := b.Cursor
	for {
		var items []history.ListItem
		err := r.retry(ctx, func() (err error) {
			items, err = r.Events.Find(ctx, b.Filter, before, batch)
			return err
		})
		if err != nil || len(items) == 0 {
			return err
		}
		for _, item := range items {
			if err := r.replay(ctx, item.ID, b); err != nil {
				return err
			}
			before = item.ID
		}
	}
}

// replay replays an event as soon as few steps wait for a worker.
func (r *Replayer) replay(ctx context.Context, id event.ID, b BulkReplay) error {
	if err := r.awaitWorkers(ctx); err != nil {
		return err
	}
	err := r.retry(ctx, func() error {
		_, err := r.Workflow.Replay(ctx, id, workflow.Replay{Handler: b.Filter.Handler, Late: true, Progress: b})
		return err
	})
	if errors.Is(err, database.ErrNotFound) {
		return nil // the event was deleted meanwhile
	}
	return err
}

// awaitWorkers waits until fewer than maxPending steps of every handler wait for a worker.
func (r *Replayer) awaitWorkers(ctx context.Context) error {
	for {
		full := false
		err := r.retry(ctx, func() error {
			full = false
			for _, name := range r.Handlers {
				n, err := r.Workflow.Pending(ctx, name, maxPending)
				if err != nil {
					return err
				}
				full = full || n >= maxPending
			}
			return nil
		})
		if err != nil || !full {
			return err
		}
		if err := background.Sleep(ctx, pendingInterval); err != nil {
			return err
		}
	}
}

// retry calls do until it succeeds, is refused, ctx ends, or it has failed maxFailures times.
func (r *Replayer) retry(ctx context.Context, do func() error) error {
	for failures := 1; ; failures++ {
		err := do()
		if err == nil || errors.Is(err, database.ErrNotFound) || errors.Is(err, workflow.ErrStale) || ctx.Err() != nil || failures == maxFailures {
			return err
		}
		if err := background.Sleep(ctx, retryPause); err != nil {
			return err
		}
	}
}
