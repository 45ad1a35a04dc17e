// Package replay has many dead events run again, little by little and after new work:
// it goes through them once, from the newest to the oldest, and gives the workers more
// only when they have nearly done what they got.
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
	// batch is how many events are looked up at a time.
	batch = 100
	// fill is how many steps of a handler may wait for a worker before no more are replayed: well below where
	// the relay would keep new events back.
	fill = 300
	// pause is how long it waits before it looks whether there is room again.
	pause = 100 * time.Millisecond
	// failures is how often in a row the store may fail before a replay is given up.
	failures = 30
	// failurePause is the time between two of those.
	failurePause = time.Second
	// lease is how long a replica has a replay without saying that it is still at it.
	lease = 30 * time.Second
	// look is how often it is looked for a replay that nobody works on.
	look = 5 * time.Second
	// endTimeout is what it may take to write down that it ended.
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
	Handlers    []string // whose queues must have room before an event is replayed
	Log         zerolog.Logger
}

// Replayer works on the replay of many events that is written down in the store: one at a time, by one replica. It is safe for
// use by many goroutines. What it has not come to when the process ends is gone on with at the next start, or by another replica.
type Replayer struct {
	*background.Service
	Deps

	begun chan struct{} // receives a value when there is a new replay
}

// New returns a Replayer that is not started.
func New(deps Deps) *Replayer {
	r := &Replayer{Deps: deps, begun: make(chan struct{}, 1)}
	r.Service = background.New("replay", background.Loop{
		Pass: r.take, Wake: r.begun,
		Failed: func(err error) { deps.Log.Error().Err(err).Msg("looking for a bulk replay failed, will retry") },
	})
	return r
}

// Begin has the dead steps of the events run again that a filter lets through, and returns as soon as that is written down. It
// gives ErrBusy when another such replay is under way.
func (r *Replayer) Begin(ctx context.Context, filter history.Filter) error {
	if err := r.BulkReplays.Create(ctx, filter); err != nil {
		return err
	}
	select {
	case r.begun <- struct{}{}:
	default: // it has been told
	}
	return nil
}

// Start begins to work, first on what an earlier process left.
func (r *Replayer) Start(ctx context.Context) error {
	if err := r.BulkReplays.ReleaseLease(ctx); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	r.Service.Start()
	return nil
}

// take works on the replay that no replica holds, if there is one, and returns the pause until it looks again.
func (r *Replayer) take(ctx context.Context) (time.Duration, error) {
	taken, err := r.BulkReplays.Acquire(ctx, lease)
	if errors.Is(err, database.ErrNotFound) {
		return look, nil
	}
	if err != nil {
		return failurePause, err
	}
	r.hold(ctx, taken)
	return look, nil
}

// hold works on a replay while this replica has it.
func (r *Replayer) hold(ctx context.Context, taken BulkReplay) {
	working, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { r.keep(working, cancel, taken) })
	err := r.run(working, taken)
	cancel()
	keeping.Wait()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	log := r.Log.With().Str("replay", taken.ID).Logger()
	switch {
	case ctx.Err() != nil:
		if err := r.BulkReplays.Renew(ending, taken, 0); err != nil { // whoever comes next goes on at once
			log.Warn().Err(err).Msg("replay of many events was not let go")
		}
	case errors.Is(err, workflow.ErrStale) || errors.Is(err, context.Canceled):
		log.Warn().Msg("another replica has taken over the replay of many events")
	default:
		if err := errors.Join(err, r.BulkReplays.End(ending, taken, err != nil)); err != nil {
			log.Error().Err(err).Msg("replay of many events broke off")
			return
		}
		log.Info().Msg("replay of many events ended")
	}
}

// keep keeps the lease, and ends the work when another replica has it.
func (r *Replayer) keep(ctx context.Context, lost context.CancelFunc, taken BulkReplay) {
	ticker := time.NewTicker(lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := r.BulkReplays.Renew(ctx, taken, lease); errors.Is(err, workflow.ErrStale) {
			lost()
			return
		}
	}
}

func (r *Replayer) run(ctx context.Context, taken BulkReplay) error {
	before := taken.Cursor
	for {
		var lines []history.ListItem
		err := r.insist(ctx, func() (err error) {
			lines, err = r.Events.Find(ctx, taken.Filter, before, batch)
			return err
		})
		if err != nil || len(lines) == 0 {
			return err
		}
		for _, line := range lines {
			if err := r.one(ctx, line.ID, taken); err != nil {
				return err
			}
			before = line.ID
		}
	}
}

// one replays an event as soon as there is room for its steps.
func (r *Replayer) one(ctx context.Context, id event.ID, taken BulkReplay) error {
	if err := r.await(ctx); err != nil {
		return err
	}
	err := r.insist(ctx, func() error {
		_, err := r.Workflow.Replay(ctx, id, workflow.Replay{Handler: taken.Filter.Handler, Late: true, Progress: taken})
		return err
	})
	if errors.Is(err, database.ErrNotFound) {
		return nil // it is gone since
	}
	return err
}

// await waits until the workers of every handler have nearly done what they have.
func (r *Replayer) await(ctx context.Context) error {
	for {
		full := false
		err := r.insist(ctx, func() error {
			full = false
			for _, name := range r.Handlers {
				n, err := r.Workflow.Pending(ctx, name, fill)
				if err != nil {
					return err
				}
				full = full || n >= fill
			}
			return nil
		})
		if err != nil || !full {
			return err
		}
		if err := background.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// insist tries again what failed, for a while.
func (r *Replayer) insist(ctx context.Context, do func() error) error {
	for tries := 1; ; tries++ {
		err := do()
		if err == nil || errors.Is(err, database.ErrNotFound) || errors.Is(err, workflow.ErrStale) || ctx.Err() != nil || tries == failures {
			return err
		}
		if err := background.Sleep(ctx, failurePause); err != nil {
			return err
		}
	}
}
