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
)

// wire is a connection of the tests.
type wire struct {
	number int32
	broken atomic.Bool
	closed atomic.Int32
}

// Alive says whether it was not broken.
func (w *wire) Alive() bool { return !w.broken.Load() }

// Close counts.
func (w *wire) Close() { w.closed.Add(1) }

// maker counts the connections that were made.
type maker struct{ made atomic.Int32 }

func (m *maker) connect(context.Context) (*wire, error) { return &wire{number: m.made.Add(1)}, nil }

func get(t *testing.T, link *broker.Link[*wire]) *wire {
	t.Helper()
	got, err := link.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLinkIsShared(t *testing.T) {
	t.Parallel()
	made := &maker{}
	link := broker.NewLink(made.connect)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if got, err := link.Get(t.Context()); err != nil || got.number != 1 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	group.Wait()
	last := get(t, link)
	link.Close()
	if last.closed.Load() != 1 {
		t.Errorf("it was closed %d times", last.closed.Load())
	}
	if _, err := link.Get(t.Context()); err == nil {
		t.Error("a closed link gives a connection")
	}
}

func TestLinkIsMadeAnew(t *testing.T) {
	t.Parallel()
	made := &maker{}
	link := broker.NewLink(made.connect)
	first := get(t, link)
	first.broken.Store(true)
	second := get(t, link)
	link.Drop(first) // is known to be broken already
	if again := get(t, link); second.number != 2 || again != second {
		t.Errorf("got %d and %d", second.number, again.number)
	}
	link.Drop(second)
	link.Drop(second)
	third := get(t, link)
	link.Close()
	for _, w := range []*wire{first, second, third} {
		if w.closed.Load() != 1 {
			t.Errorf("connection %d was closed %d times", w.number, w.closed.Load())
		}
	}
}

func TestLinkThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	refusal, made := errors.New("refused"), &maker{}
	link := broker.NewLink(func(ctx context.Context) (*wire, error) {
		got, err := made.connect(ctx)
		if got.number < 3 {
			return nil, refusal
		}
		return got, err
	})
	defer link.Close()
	for range 2 {
		if _, err := link.Get(t.Context()); !errors.Is(err, refusal) {
			t.Errorf("got %v", err)
		}
	}
	get(t, link)
}

func TestLinkWaitsNoLongerThanItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		link := broker.NewLink(func(ctx context.Context) (*wire, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := link.Get(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		if _, err := link.Get(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 10*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		go func() { _, _ = link.Get(t.Context()) }()
		synctest.Wait()
		link.Close() // ends what is being made
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("it closed after %s", took)
		}
	})
}
