// Package groupcommit lets those who wait at the same moment share one write and
// its sync. It never sleeps to fill a batch: while one batch is being written the
// next one gathers by itself.
package groupcommit

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of Commit that are not the writer's.
var (
	ErrClosed  = errors.New("groupcommit: closed")
	ErrTimeout = errors.New("groupcommit: the store did not answer in time")
)

// maxYields is how often a batch lets others run while it still grows.
const maxYields = 8

// Limits bound a batch and the wait for it. Larger batches save no more syncs and
// make everybody in them wait longer.
type Limits struct {
	Entries int           // in one batch
	Bytes   int           // in one batch, about; 0 where entries have no size
	Wait    time.Duration // for the outcome, at most
	Writers int           // batches that are written at the same moment
}

// Committer gathers entries and hands them in batches to its writing goroutines: one
// where the store has one writer, several where their syncs can overlap.
// It is safe for use by many goroutines.
type Committer[E any] struct {
	limits Limits
	size   func(E) int
	write  func(batch []E) error

	queue   chan *ticket[E]
	writing sync.WaitGroup
	mutex   sync.RWMutex // held for reading while sending to queue, for writing to close it
	closed  bool
}

// ticket is an entry on its way. Whoever takes it first has it: the writer, to
// write it, or the one who waits for it, to give it up.
type ticket[E any] struct {
	entry   E
	taken   atomic.Bool
	settled chan error // receives the outcome once; has room for it, so settling never blocks
}

func (t *ticket[E]) take() bool { return t.taken.CompareAndSwap(false, true) }

// giveUp lets go of an entry that nobody has begun to write. Its memory must not
// stay in the queue of a store that hangs.
func (t *ticket[E]) giveUp() {
	if t.take() {
		var nothing E
		t.entry = nothing
	}
}

// Start makes a committer, each of whose writers calls write with batch after batch
// until Stop. The outcome of write is that of every entry in the batch; the slice
// is reused. size says how many bytes an entry counts for; it may be nil.
func Start[E any](limits Limits, size func(E) int, write func(batch []E) error) *Committer[E] {
	c := &Committer[E]{
		limits: limits, size: size, write: write,
		queue: make(chan *ticket[E], limits.Entries),
	}
	for range limits.Writers {
		c.writing.Go(c.run)
	}
	return c
}

// Commit queues an entry and waits until it is settled. The context counts until
// the entry is queued; after that only its deadline does, so that a caller who
// goes away changes nothing about what is answered for a committed entry.
func (c *Committer[E]) Commit(ctx context.Context, entry E) error {
	patience := c.limits.Wait
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	t := &ticket[E]{entry: entry, settled: make(chan error, 1)}
	if err := c.enqueue(ctx, t, timeout.C); err != nil {
		return err
	}
	select {
	case err := <-t.settled:
		return err
	case <-timeout.C:
		t.giveUp()
		return ErrTimeout
	}
}

func (c *Committer[E]) enqueue(ctx context.Context, t *ticket[E], timeout <-chan time.Time) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	if c.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.queue <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout:
		return ErrTimeout
	}
}

// Stop refuses what comes from now on, settles what is queued, and ends the goroutines.
func (c *Committer[E]) Stop() {
	c.mutex.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mutex.Unlock()
	c.writing.Wait()
}

// batch is what is written together.
type batch[E any] struct {
	tickets []*ticket[E]
	entries []E
	bytes   int
}

// reset empties the batch and lets go of what its entries hold.
func (b *batch[E]) reset() {
	clear(b.tickets)
	clear(b.entries)
	b.tickets, b.entries, b.bytes = b.tickets[:0], b.entries[:0], 0
}

// run settles batch after batch until the queue is closed and empty.
func (c *Committer[E]) run() {
	b := &batch[E]{}
	for first := range c.queue {
		c.gather(b, first)
		if len(b.entries) == 0 {
			continue
		}
		err := c.write(b.entries)
		for _, t := range b.tickets {
			t.settled <- err
		}
		b.reset()
	}
}

// gather takes what waits already, up to the bounds of a batch. Before it is content
// it lets those run who are about to come: that costs nothing when there is
// nobody, and under load it makes one sync of many.
func (c *Committer[E]) gather(b *batch[E], next *ticket[E]) {
	c.add(b, next)
	for yields := range maxYields {
		before := len(b.tickets)
		if c.drain(b) || len(b.tickets) == before && yields > 0 {
			return
		}
		runtime.Gosched()
	}
}

// drain adds what is in the queue, and says whether the batch can take no more.
func (c *Committer[E]) drain(b *batch[E]) (full bool) {
	for len(b.tickets) < c.limits.Entries && (c.limits.Bytes == 0 || b.bytes < c.limits.Bytes) {
		select {
		case t, open := <-c.queue:
			if !open {
				return true
			}
			c.add(b, t)
		default:
			return false
		}
	}
	return true
}

// add takes a ticket into the batch, unless it was given up.
func (c *Committer[E]) add(b *batch[E], t *ticket[E]) {
	if t.take() {
		b.tickets, b.entries = append(b.tickets, t), append(b.entries, t.entry)
		b.bytes += c.sizeOf(t.entry)
	}
}

func (c *Committer[E]) sizeOf(entry E) int {
	if c.size == nil {
		return 0
	}
	return c.size(entry)
}
