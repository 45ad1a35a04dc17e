package fetch

import (
	"context"
	"errors"
	"io"
	"time"
)

var (
	errStalled = errors.New("no data within the stall timeout")
	errSlow    = errors.New("throughput below the minimum")
)

// stallGuard ends the transfer of a body that stalls or is slower than the minimum throughput. Only the time of reads
// counts, not that of writing what was read.
type stallGuard struct {
	ctx    context.Context // of the attempt; its cause is errStalled after a stall
	cancel context.CancelCauseFunc
	timer  *time.Timer // runs during a read
	limits limits

	waited   time.Duration // in this window
	received int64         // bytes in this window
}

func newStallGuard(parent context.Context, limits limits) *stallGuard {
	ctx, cancel := context.WithCancelCause(parent)
	return &stallGuard{ctx: ctx, cancel: cancel, limits: limits}
}

// read reads once from body, the body of a request with the guard's context.
func (g *stallGuard) read(body io.Reader, buffer []byte) (int, error) {
	g.arm()
	begun := time.Now()
	n, err := body.Read(buffer)
	g.timer.Stop()
	if err == nil {
		err = g.measure(n, time.Since(begun))
	}
	return n, err
}

// arm starts the timer that cancels the attempt.
func (g *stallGuard) arm() {
	if g.timer != nil {
		g.timer.Reset(g.limits.stall)
		return
	}
	g.timer = time.AfterFunc(g.limits.stall, func() { g.cancel(errStalled) })
}

// measure returns errSlow at the end of a window below the minimum throughput.
func (g *stallGuard) measure(n int, waited time.Duration) error {
	g.received += int64(n)
	g.waited += waited
	if g.waited < g.limits.window {
		return nil
	}
	slow := float64(g.received) < float64(g.limits.speed)*g.waited.Seconds()
	g.received, g.waited = 0, 0
	if slow {
		return errSlow
	}
	return nil
}

// end ends the attempt.
func (g *stallGuard) end() { g.cancel(nil) }
