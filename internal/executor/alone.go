package executor

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

const (
	// aloneWait is how long a crash-prone step waits for other steps to end; then it runs beside them, and a crash does not count.
	aloneWait = 30 * time.Second
	// aloneTime is how long other steps wait for a crash-prone step that runs.
	aloneTime = 30 * time.Second
	// alonePause is the pause of a crash-prone step while another one runs.
	alonePause = 5 * time.Second
)

// gate lets steps run at the same time, or one crash-prone step alone. The zero value is open.
type gate struct {
	mutex    sync.Mutex
	running  int
	occupied chan struct{} // closed when the crash-prone step lets others run; nil if there is none
	idle     chan struct{} // closed when no step runs; nil if no crash-prone step waits for that
}

// enter waits until no crash-prone step is alone. Each call that returns nil needs one of leave.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mutex.Lock()
		occupied := g.occupied
		if occupied == nil {
			g.running++
		}
		g.mutex.Unlock()
		if occupied == nil {
			return nil
		}
		select {
		case <-occupied:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) leave() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.running--
	g.signalIdle()
}

// signalIdle ends the wait of a crash-prone step if no step runs. The caller holds the mutex.
func (g *gate) signalIdle() {
	if g.running == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// occupy keeps other steps from beginning until open is called, and waits for those that run. alone says that none is left. open is
// nil if another crash-prone step has the process.
func (g *gate) occupy(ctx context.Context) (open func(), alone bool) {
	g.mutex.Lock()
	if g.occupied != nil {
		g.mutex.Unlock()
		return nil, false
	}
	occupied, idle := make(chan struct{}), make(chan struct{})
	g.occupied, g.idle = occupied, idle
	g.signalIdle()
	g.mutex.Unlock()
	timer := time.NewTimer(aloneWait)
	defer timer.Stop()
	select {
	case <-idle:
		alone = true
	case <-timer.C:
	case <-ctx.Done():
	}
	return sync.OnceFunc(func() {
		g.mutex.Lock()
		defer g.mutex.Unlock()
		g.occupied, g.idle = nil, nil
		close(occupied)
	}), alone
}

// runAlone runs the step of a crash-prone step while no other step runs. Others wait for aloneWait and aloneTime at most.
func (x *Executor) runAlone(ctx context.Context, step Step, job queue.Job) error {
	open, alone := x.gate.occupy(ctx)
	if open == nil {
		return &queue.Snooze{Duration: alonePause + rand.N(alonePause)}
	}
	defer open()
	attempt, err := x.work.BeginAlone(ctx, job, alone)
	if err != nil {
		return x.refused(job, err)
	}
	x.log.Warn().Str("event", string(attempt.Event)).Str("handler", attempt.Handler).Bool("alone", alone).
		Msg("step runs alone, the process crashed during it")
	timer := time.AfterFunc(aloneTime, func() { x.share(attempt, open) })
	defer timer.Stop()
	return x.record(ctx, attempt, x.try(ctx, step, attempt))
}

// share lets other steps run beside a crash-prone step. From then on a crash does not count against it.
func (x *Executor) share(attempt workflow.Attempt, open func()) {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	if err := x.work.NotAlone(ctx, attempt); err != nil {
		x.log.Error().Err(err).Str("event", string(attempt.Event)).Msg("recording that a step is not alone failed")
	}
	open()
}
