package broker_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conn is a connection that counts what happens to it.
type conn struct {
	broken    atomic.Bool
	published atomic.Int32
	closed    atomic.Int32
}

// Publish counts.
func (c *conn) Publish(context.Context, broker.Message) error {
	c.published.Add(1)
	return nil
}

// Check does nothing.
func (c *conn) Check(context.Context) error { return nil }

// Alive reports whether the connection was not broken.
func (c *conn) Alive() bool { return !c.broken.Load() }

// Close counts.
func (c *conn) Close() { c.closed.Add(1) }

// connector keeps the connections that it made.
type connector struct {
	mutex sync.Mutex
	made  []*conn
}

func (c *connector) connect(context.Context) (*conn, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.made = append(c.made, &conn{})
	return c.made[len(c.made)-1], nil
}

func publish(t *testing.T, shared *broker.SharedConn[*conn]) {
	t.Helper()
	if err := shared.Publish(t.Context(), broker.Message{}); err != nil {
		t.Error(err)
	}
}

func closeConn(t *testing.T, shared *broker.SharedConn[*conn]) {
	t.Helper()
	if err := shared.Close(); err != nil {
		t.Error(err)
	}
}

func TestConnectionIsShared(t *testing.T) {
	t.Parallel()
	const callers = 20
	made := &connector{}
	shared := broker.NewSharedConn(made.connect)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() { publish(t, shared) })
	}
	group.Wait()
	closeConn(t, shared)
	if len(made.made) != 1 || made.made[0].published.Load() != callers || made.made[0].closed.Load() != 1 {
		t.Errorf("connections = %d, published = %d, closed = %d, want 1, %d, 1",
			len(made.made), made.made[0].published.Load(), made.made[0].closed.Load(), callers)
	}
	if err := shared.Publish(t.Context(), broker.Message{}); err == nil {
		t.Error("error of Publish after Close = nil, want one")
	}
}

func TestBrokenConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	made := &connector{}
	shared := broker.NewSharedConn(made.connect)
	publish(t, shared)
	made.made[0].broken.Store(true)
	publish(t, shared)
	publish(t, shared)
	closeConn(t, shared)
	if len(made.made) != 2 {
		t.Fatalf("connections = %d, want 2", len(made.made))
	}
	for n, want := range []int32{1, 2} {
		if got := made.made[n]; got.published.Load() != want || got.closed.Load() != 1 {
			t.Errorf("connection %d: published = %d, closed = %d, want %d, 1", n, got.published.Load(), got.closed.Load(), want)
		}
	}
}

func TestFailedConnectionIsRetried(t *testing.T) {
	t.Parallel()
	refused, made, calls := errors.New("refused"), &connector{}, 0
	shared := broker.NewSharedConn(func(ctx context.Context) (*conn, error) {
		if calls++; calls < 3 {
			return nil, refused
		}
		return made.connect(ctx)
	})
	defer closeConn(t, shared)
	for range 2 {
		if err := shared.Check(t.Context()); !errors.Is(err, refused) {
			t.Errorf("error = %v, want %v", err, refused)
		}
	}
	publish(t, shared)
}

func TestCallersWaitUntilTheirDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := broker.NewSharedConn(func(ctx context.Context) (*conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		started := time.Now()
		elapsed := func(call string, err error, want time.Duration) {
			t.Helper()
			if got := time.Since(started); !errors.Is(err, context.DeadlineExceeded) || got != want {
				t.Errorf("%s: error = %v after %s, want %v after %s", call, err, got, context.DeadlineExceeded, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		elapsed("deadline of the caller", shared.Publish(ctx, broker.Message{}), time.Second)
		elapsed("timeout of the connection", shared.Publish(t.Context(), broker.Message{}), 10*time.Second)
		go func() { _ = shared.Publish(t.Context(), broker.Message{}) }()
		synctest.Wait()
		closeConn(t, shared) // cancels the connection attempt
		if got := time.Since(started); got != 10*time.Second {
			t.Errorf("closed after %s, want %s", got, 10*time.Second)
		}
	})
}
