package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// connectTimeout bounds one connection attempt, login included.
const connectTimeout = 10 * time.Second

// SharedConn is a Broker with one connection for all callers. The first caller makes it, and the next one after it broke.
// Callers wait for the same connection attempt.
type SharedConn[C Connection] struct {
	connect    func(ctx context.Context) (C, error)
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	background sync.WaitGroup

	mutex   sync.Mutex
	current *attempt[C] // nil if there is none
}

// Connection is a connection to a broker.
type Connection interface {
	Publish(ctx context.Context, message Message) error
	Check(ctx context.Context) error
	// Alive reports whether the connection can be used. One that is not is closed and replaced.
	Alive() bool
	// Close closes the connection, which may be broken.
	Close()
}

// attempt is a connection that is being made, is made, or failed.
type attempt[C Connection] struct {
	done chan struct{} // closed once conn and err are set
	conn C
	err  error
}

var errClosed = errors.New("the connection to the broker is closed: the receiver stops")

// NewSharedConn returns a broker that uses the connections of connect, whose errors must be classified.
func NewSharedConn[C Connection](connect func(ctx context.Context) (C, error)) *SharedConn[C] {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:gosec // Close calls it
	return &SharedConn[C]{connect: connect, ctx: ctx, cancel: cancel}
}

// Publish sends the message over the shared connection.
func (s *SharedConn[C]) Publish(ctx context.Context, message Message) error {
	conn, err := s.get(ctx)
	if err != nil {
		return err
	}
	return conn.Publish(ctx, message)
}

// Check checks the topic over the shared connection.
func (s *SharedConn[C]) Check(ctx context.Context) error {
	conn, err := s.get(ctx)
	if err != nil {
		return err
	}
	return conn.Check(ctx)
}

// get returns the connection. It waits until ctx ends; the connection attempt continues for other callers.
func (s *SharedConn[C]) get(ctx context.Context) (conn C, err error) {
	current, err := s.attempt()
	if err != nil {
		return conn, err
	}
	select {
	case <-current.done:
		return current.conn, current.err
	case <-ctx.Done():
		return conn, fmt.Errorf("the attempt ended before there was a connection to the broker: %w", ctx.Err())
	}
}

// attempt returns the current attempt, or starts one.
func (s *SharedConn[C]) attempt() (*attempt[C], error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	if s.current != nil && s.current.isUsable() {
		return s.current, nil
	}
	if s.current != nil && s.current.err == nil {
		s.background.Go(s.current.conn.Close)
	}
	started := &attempt[C]{done: make(chan struct{})}
	s.current = started
	s.background.Go(func() {
		defer close(started.done)
		ctx, cancel := context.WithTimeout(s.ctx, connectTimeout)
		defer cancel()
		started.conn, started.err = s.connect(ctx)
	})
	return started, nil
}

// isUsable reports whether the attempt is under way or its connection is alive.
func (a *attempt[C]) isUsable() bool {
	select {
	case <-a.done:
		return a.err == nil && a.conn.Alive()
	default:
		return true
	}
}

// Close closes the connection and cancels a connection attempt. It must not be called during Publish.
func (s *SharedConn[C]) Close() error {
	s.cancel()
	s.background.Wait()
	s.mutex.Lock()
	last := s.current
	s.current = nil
	s.mutex.Unlock()
	if last != nil && last.err == nil {
		last.conn.Close()
	}
	return nil
}
