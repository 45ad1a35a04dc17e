package deepimage

import (
	"context"
	"sync"
)

// inFlight counts the calls under way. They do not end with the caller that began them, only with the client.
type inFlight struct {
	ctx    context.Context // of every call
	cancel context.CancelFunc

	mutex  sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

func newInFlight() *inFlight {
	ctx, cancel := context.WithCancel(context.Background())
	return &inFlight{ctx: ctx, cancel: cancel}
}

// begin counts a call and returns true, or false after close. The caller calls calls.Done at the end.
func (f *inFlight) begin() bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		return false
	}
	f.calls.Add(1)
	return true
}

// close cancels all calls and waits for their end.
func (f *inFlight) close() {
	f.mutex.Lock()
	f.closed = true
	f.mutex.Unlock()
	f.cancel()
	f.calls.Wait()
}
