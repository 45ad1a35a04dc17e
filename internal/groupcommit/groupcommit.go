// Package groupcommit lets callers that wait at the same moment share one write and its sync. It never sleeps to fill a batch: while
// one batch is written, the next one fills.
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

// maxYields is how often a writer lets other goroutines run while its batch grows.
const maxYields = 8

// Limits bound a batch and the wait for it.
type Limits struct {
	Entries int           // in one batch
	Bytes   int           // in one batch, approximately; 0 for no limit
	Wait    time.Duration // of a caller, at most
	Writers int           // batches that are written at the same time
}

// Committer collects entries and passes them in batches to its writers: one where the store has one writer, several where their
// syncs can overlap. It is safe for use by many goroutines.
type Committer[E any] struct {
	limits Limits
	size   func(E) int
	write  func(batch []E) error

	queue   chan *ticket[E]
	writing sync.WaitGroup
	mutex   sync.RWMutex // held for reading while sending to queue, for writing to close it
	closed  bool
}

// ticket is a queued entry. Either a writer acquires it, or the caller that waits for it, to abandon it.
type ticket[E any] struct {
	entry    E
	acquired atomic.Bool
	result   chan error // receives the result once; it has a buffer, so that the writer never blocks
}

func (t *ticket[E]) acquire() bool { return t.acquired.CompareAndSwap(false, true) }

// abandon releases the memory of an entry whose write has not begun: it must not stay in the queue of a store that hangs.
func (t *ticket[E]) abandon() {
	if t.acquire() {
		var nothing E
		t.entry = nothing
	}
}

// Start returns a committer. Each of its writers calls write with batch after batch until Stop. The error of write is that of every
// entry in the batch; the slice is reused. size returns the bytes of an entry; it may be nil.
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

// Commit queues an entry and waits for the result of its write. Cancelling ctx has an effect until the entry is queued. After that
// only its deadline counts: a caller that goes away does not change the result of a committed entry.
func (c *Committer[E]) Commit(ctx context.Context, entry E) error {
	wait := c.limits.Wait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	t := &ticket[E]{entry: entry, result: make(chan error, 1)}
	if err := c.enqueue(ctx, t, timeout.C); err != nil {
		return err
	}
	select {
	case err := <-t.result:
		return err
	case <-timeout.C:
		t.abandon()
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

// Stop refuses new entries, writes those that are queued, and ends the writers.
func (c *Committer[E]) Stop() {
	c.mutex.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mutex.Unlock()
	c.writing.Wait()
}

// batch is the entries of one write.
type batch[E any] struct {
	tickets []*ticket[E]
	entries []E
	bytes   int
}

// reset empties the batch and releases the memory of its entries.
func (b *batch[E]) reset() {
	clear(b.tickets)
	clear(b.entries)
	b.tickets, b.entries, b.bytes = b.tickets[:0], b.entries[:0], 0
}

// run writes batch after batch until the queue is closed and empty.
func (c *Committer[E]) run() {
	b := &batch[E]{}
	for first := range c.queue {
		c.fill(b, first)
		if len(b.entries) == 0 {
			continue
		}
		err := c.write(b.entries)
		for _, t := range b.tickets {
			t.result <- err
		}
		b.reset()
	}
}

// fill adds what is queued, up to the limits. It then lets goroutines run that are about to commit: that costs nothing when there
// are none, and under load it makes one sync of many.
func (c *Committer[E]) fill(b *batch[E], next *ticket[E]) {
	c.add(b, next)
	for yields := range maxYields {
		before := len(b.tickets)
		if c.drain(b) || len(b.tickets) == before && yields > 0 {
			return
		}
		runtime.Gosched()
	}
}

// drain adds what is in the queue. It returns true when the batch is full or the queue closed.
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

// add adds a ticket to the batch, unless it was abandoned.
func (c *Committer[E]) add(b *batch[E], t *ticket[E]) {
	if t.acquire() {
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
