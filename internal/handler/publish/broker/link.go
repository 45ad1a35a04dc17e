package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// connectTimeout bounds the making of one connection, log in included.
const connectTimeout = 10 * time.Second

// Link is the one connection that all who publish share. It is made by the first who
// needs it and made anew when it is broken: those who ask meanwhile wait for the same.
type Link[C Connection] struct {
	connect func(ctx context.Context) (C, error)
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	making  sync.WaitGroup

	mutex   sync.Mutex
	current *attempt[C] // nil for none
}

// Connection is what a link keeps.
type Connection interface {
	comparable
	// Alive says whether it is worth using.
	Alive() bool
	// Close ends it; it may be called when it is broken.
	Close()
}

// attempt is a connection that is being made, or is made, or failed.
type attempt[C Connection] struct {
	done chan struct{} // closed when the rest is set
	made C
	err  error
}

var errClosed = errors.New("the connection to the broker is closed: the receiver stops")

// NewLink keeps connections that connect makes. Its error has to be one of package handler.
func NewLink[C Connection](connect func(ctx context.Context) (C, error)) *Link[C] {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:gosec // Close calls it
	return &Link[C]{connect: connect, ctx: ctx, cancel: cancel}
}

// Get gives the connection. It waits for it until ctx ends; the making goes on for others.
func (l *Link[C]) Get(ctx context.Context) (C, error) {
	var none C
	asked, err := l.attempt()
	if err != nil {
		return none, err
	}
	select {
	case <-asked.done:
		return asked.made, asked.err
	case <-ctx.Done():
		return none, fmt.Errorf("the attempt ended before there was a connection to the broker: %w", ctx.Err())
	}
}

// attempt gives the current attempt, or begins one.
func (l *Link[C]) attempt() (*attempt[C], error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.ctx.Err() != nil {
		return nil, errClosed
	}
	if l.current != nil && l.current.usable() {
		return l.current, nil
	}
	if l.current != nil && l.current.err == nil {
		l.making.Go(l.current.made.Close)
	}
	begun := &attempt[C]{done: make(chan struct{})}
	l.current = begun
	l.making.Go(func() {
		defer close(begun.done)
		ctx, cancel := context.WithTimeout(l.ctx, connectTimeout)
		defer cancel()
		begun.made, begun.err = l.connect(ctx)
	})
	return begun, nil
}

// usable says whether it is worth waiting for or using.
func (a *attempt[C]) usable() bool {
	select {
	case <-a.done:
		return a.err == nil && a.made.Alive()
	default:
		return true
	}
}

// Drop closes a connection that was found broken, if that has not been done yet.
func (l *Link[C]) Drop(broken C) {
	l.mutex.Lock()
	current := l.current != nil && l.current.ok(broken)
	if current {
		l.current = nil
	}
	l.mutex.Unlock()
	if current {
		broken.Close()
	}
}

// is says whether the attempt is over and made this connection.
func (a *attempt[C]) ok(made C) bool {
	select {
	case <-a.done:
		return a.err == nil && a.made == made
	default:
		return false
	}
}

// Close ends the connection, and what is being made. No Get may be under way.
func (l *Link[C]) Close() {
	l.cancel()
	l.making.Wait()
	l.mutex.Lock()
	last := l.current
	l.current = nil
	l.mutex.Unlock()
	if last != nil && last.err == nil {
		last.made.Close()
	}
}
