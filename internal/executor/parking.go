package executor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/rs/zerolog"
)

const (
	// parkingInterval is how often parked steps are looked for whose time has come.
	parkingInterval = time.Second
	// parkingPause is the time between two looks while there are many.
	parkingPause = 50 * time.Millisecond
	// parkingFill is how many steps of a name may wait for a worker before others stay parked: if
	// the target fails again, no more than these are parked anew.
	parkingFill = 500
	// complainEvery is how often a failure that lasts is logged.
	complainEvery = time.Minute
)

// parking brings parked steps back to the workers: each when its time has come, and all of a
// name as soon as an attempt shows that the other side answers again.
type parking struct {
	work  Work
	names []string
	log   zerolog.Logger

	mutex   sync.Mutex
	answers map[string]bool // names whose other side answered at the latest attempt

	cancel     context.CancelFunc
	done       chan struct{}
	complained time.Time // when a failure was logged last
}

func newParking(work Work, steps []Step, log zerolog.Logger) *parking {
	p := &parking{work: work, log: log, answers: map[string]bool{}, done: make(chan struct{})}
	for _, step := range steps {
		p.names = append(p.names, step.Name)
	}
	return p
}

// observe records what an attempt shows about its target: that it answers, or that it does not. A failure of the event
// itself (fail, quarantine) is an answer. An attempt that was not made, or of a disabled target, shows nothing.
func (p *parking) observe(name string, failure *handler.Error) {
	answers := failure == nil
	if failure != nil {
		switch failure.Action {
		case event.ActionDisable:
			return
		case event.ActionDefer:
			if failure.Cause != event.CauseOutage {
				return
			}
		case event.ActionFail, event.ActionQuarantine:
			answers = true
		}
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.answers[name] = answers
}

func (p *parking) isAnswering(name string) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.answers[name]
}

func (p *parking) run(ctx context.Context) {
	defer close(p.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		given, err := p.look(ctx)
		p.complain(ctx, err)
		if given > 0 {
			timer.Reset(parkingPause)
		} else {
			timer.Reset(parkingInterval)
		}
	}
}

// look gives the workers what may come back, of every name.
func (p *parking) look(ctx context.Context) (given int, err error) {
	for _, name := range p.names {
		all := p.isAnswering(name)
		n, failed := p.work.Resume(ctx, name, all, parkingFill)
		if failed != nil {
			err = failed
		}
		given += n
	}
	return given, err
}

// complain logs a failure, but not every second while it lasts.
func (p *parking) complain(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || time.Since(p.complained) < complainEvery {
		return
	}
	p.complained = time.Now()
	p.log.Error().Err(err).Msg("parked steps could not be looked for; it is tried again")
}

// Start brings parked steps back from now on; Stop ends it.
func (p *Executor) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.parking.cancel = cancel
	go p.parking.run(ctx)
}

// Stop ends what Start began, or gives up waiting for that when ctx ends.
func (p *Executor) Stop(ctx context.Context) error {
	if p.parking.cancel == nil {
		return nil
	}
	p.parking.cancel()
	select {
	case <-p.parking.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("executor: stop: %w", ctx.Err())
	}
}
