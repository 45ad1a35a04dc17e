package deepimage

import (
	"context"
	"sync"
)

// life owns the look-ups that go on after the one who began them has left.
type life struct {
	ctx    context.Context
	cancel context.CancelFunc

	mutex   sync.Mutex
	ended   bool
	running sync.WaitGroup
}

func newLife() *life {
	ctx, cancel := context.WithCancel(context.Background())
	return &life{ctx: ctx, cancel: cancel}
}

// begin counts one look-up in; it is false after end. The one who begins calls running.Done.
func (l *life) begin() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.ended {
		return false
	}
	l.running.Add(1)
	return true
}

// end calls everything off and waits for it.
func (l *life) end() {
	l.mutex.Lock()
	l.ended = true
	l.mutex.Unlock()
	l.cancel()
	l.running.Wait()
}
