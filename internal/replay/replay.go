// Package replay has many dead events run again, little by little and after new work:
// it goes through them once, from the newest to the oldest, and gives the workers more
// only when they have nearly done what they got.
package replay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/work"
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
)

// ErrBusy says that a replay is under way already.
var ErrBusy = errors.New("replay: another one is under way")

// Work is where the events are.
type Work interface {
	Find(ctx context.Context, filter work.Filter, before event.ID, limit int) ([]work.Line, error)
	Replay(ctx context.Context, id event.ID, what work.Replay) (int, error)
	Pending(ctx context.Context, handler string, limit int) (int, error)
}

// Progress tells how far a replay is.
type Progress struct {
	Running       bool
	Events, Steps int // replayed so far
	Started       time.Time
	Finished      time.Time // zero while it runs
	Failed        bool      // it was given up
}

// Replayer runs one replay at a time. It is safe for use by many goroutines. What it has not come to when the process
// stops stays dead; the same replay begun again goes on with that.
type Replayer struct {
	work     Work
	handlers []string
	log      zerolog.Logger

	mutex    sync.Mutex
	progress Progress
	stopped  bool
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// New makes a replayer for steps of these handlers.
func New(work Work, handlers []string, log zerolog.Logger) *Replayer {
	return &Replayer{work: work, handlers: handlers, log: log}
}

// Begin replays the dead steps of the events that a filter lets through, and returns at once. It gives
// ErrBusy when another replay is under way.
func (r *Replayer) Begin(filter work.Filter) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.progress.Running || r.stopped {
		return ErrBusy
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.progress = cancel, Progress{Running: true, Started: time.Now().UTC()}
	r.running.Go(func() {
		defer cancel()
		r.end(r.run(ctx, filter))
	})
	return nil
}

// Progress tells of the latest replay.
func (r *Replayer) Progress() Progress {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.progress
}

// Stop ends the replay after the event it is at.
func (r *Replayer) Stop() {
	r.mutex.Lock()
	r.stopped = true
	if r.cancel != nil {
		r.cancel()
	}
	r.mutex.Unlock()
	r.running.Wait()
}

func (r *Replayer) end(err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.progress.Running, r.progress.Finished, r.progress.Failed = false, time.Now().UTC(), err != nil
	level := zerolog.InfoLevel
	if err != nil {
		level = zerolog.ErrorLevel
	}
	r.log.WithLevel(level).Err(err).Int("events", r.progress.Events).Int("steps", r.progress.Steps).Msg("replay of many events ended")
}

func (r *Replayer) run(ctx context.Context, filter work.Filter) error {
	var before event.ID
	for {
		var lines []work.Line
		err := r.insist(ctx, func() (err error) {
			lines, err = r.work.Find(ctx, filter, before, batch)
			return err
		})
		if err != nil || len(lines) == 0 {
			return err
		}
		for _, line := range lines {
			if err := r.one(ctx, line.ID, filter.Handler); err != nil {
				return err
			}
			before = line.ID
		}
	}
}

// one replays an event as soon as there is room for its steps.
func (r *Replayer) one(ctx context.Context, id event.ID, handler string) error {
	if err := r.await(ctx); err != nil {
		return err
	}
	var steps int
	err := r.insist(ctx, func() (err error) {
		steps, err = r.work.Replay(ctx, id, work.Replay{Handler: handler, Late: true})
		return err
	})
	if err != nil && !errors.Is(err, work.ErrNotFound) {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if steps > 0 {
		r.progress.Events++
		r.progress.Steps += steps
	}
	return nil
}

// await waits until the workers of every handler have nearly done what they have.
func (r *Replayer) await(ctx context.Context) error {
	for {
		full := false
		err := r.insist(ctx, func() error {
			full = false
			for _, name := range r.handlers {
				n, err := r.work.Pending(ctx, name, fill)
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
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// insist tries again what failed, for a while.
func (r *Replayer) insist(ctx context.Context, do func() error) error {
	for tries := 1; ; tries++ {
		err := do()
		if err == nil || errors.Is(err, work.ErrNotFound) || ctx.Err() != nil || tries == failures {
			return err
		}
		if err := sleep(ctx, failurePause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
