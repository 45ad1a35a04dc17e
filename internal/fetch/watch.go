package fetch

import (
	"context"
	"errors"
	"io"
	"time"
)

var (
	errStalled = errors.New("nothing came for too long")
	errSlow    = errors.New("too little came for too long")
)

// watch gives up on a body that stalls or crawls. Only the time spent waiting for
// the server counts, not that spent writing what it sent.
type watch struct {
	ctx    context.Context // of the attempt; ends with cause errStalled
	cancel context.CancelCauseFunc
	timer  *time.Timer // runs during a read only
	limits limits

	waited time.Duration // in this window
	came   int64         // bytes, in this window
}

func newWatch(parent context.Context, limits limits) *watch {
	ctx, cancel := context.WithCancelCause(parent)
	return &watch{ctx: ctx, cancel: cancel, limits: limits}
}

// read reads once from body, whose request has the watch's context.
func (w *watch) read(body io.Reader, buffer []byte) (int, error) {
	w.arm()
	begun := time.Now()
	n, err := body.Read(buffer)
	w.timer.Stop()
	if err == nil {
		err = w.measure(n, time.Since(begun))
	}
	return n, err
}

// arm starts the timer that ends the attempt.
func (w *watch) arm() {
	if w.timer != nil {
		w.timer.Reset(w.limits.stall)
		return
	}
	w.timer = time.AfterFunc(w.limits.stall, func() { w.cancel(errStalled) })
}

// measure is errSlow at the end of a window in which too little came.
func (w *watch) measure(n int, waited time.Duration) error {
	w.came += int64(n)
	w.waited += waited
	if w.waited < w.limits.window {
		return nil
	}
	slow := float64(w.came) < float64(w.limits.speed)*w.waited.Seconds()
	w.came, w.waited = 0, 0
	if slow {
		return errSlow
	}
	return nil
}

// end ends the attempt and frees what it holds.
func (w *watch) end() { w.cancel(nil) }
