package inbox

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// maxBatchBytes bounds one transaction beside the number of its entries. A larger
// one saves no more syncs and makes everybody in it wait longer.
const maxBatchBytes = 8 << 20

// commitTimeout is how long anybody waits for a commit at most. What is committed later than that is a
// duplicate when the sender tries again.
const commitTimeout = 15 * time.Second

var (
	errClosed  = errors.New("inbox: closed")
	errTimeout = errors.New("inbox: the store did not answer in time")
)

// entry is one thing to be written. The writer fills in the outcome; whoever
// waits reads it once the entry is settled.
type entry interface {
	size() int // bytes, about
}

// ticket is an entry on its way through the committer. Whoever takes it first has
// it: the committer, to write it, or the one who waits for it, to give it up.
type ticket struct {
	entry   entry
	taken   atomic.Bool
	settled chan error // receives the outcome once; has room for it, so settling never blocks
}

func (t *ticket) take() bool { return t.taken.CompareAndSwap(false, true) }

// giveUp lets go of an entry that nobody has begun to write. Its memory must not
// stay in the queue of a store that hangs.
func (t *ticket) giveUp() {
	if t.take() {
		t.entry = nil
	}
}

// committer gathers the entries that wait at the same moment and hands them to
// the one writer as one transaction. It never sleeps to fill a batch: while one
// batch is being synced the next one gathers by itself.
type committer struct {
	queue  chan *ticket
	done   chan struct{}
	mutex  sync.RWMutex // held for reading while sending to queue, for writing to close it
	closed bool
	batch  int // entries in one transaction at most
	writer *writer
}

func startCommitter(w *writer, batch int) *committer {
	c := &committer{queue: make(chan *ticket, batch), done: make(chan struct{}), batch: batch, writer: w}
	go c.run()
	return c
}

// commit queues an entry and waits until it is settled. The context counts until
// the entry is queued; after that only its deadline does, so that a client that
// hangs up changes nothing about what is answered for a committed event.
func (c *committer) commit(ctx context.Context, e entry) error {
	patience := commitTimeout
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	t := &ticket{entry: e, settled: make(chan error, 1)}
	if err := c.enqueue(ctx, t, timeout.C); err != nil {
		return err
	}
	select {
	case err := <-t.settled:
		return err
	case <-timeout.C:
		t.giveUp()
		return errTimeout
	}
}

func (c *committer) enqueue(ctx context.Context, t *ticket, timeout <-chan time.Time) error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	if c.closed {
		return errClosed
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
		return errTimeout
	}
}

// run settles batch after batch until the queue is closed and empty.
func (c *committer) run() {
	defer close(c.done)
	batch := make([]*ticket, 0, c.batch)
	for first := range c.queue {
		batch = c.gather(batch[:0], first)
		if len(batch) == 0 {
			continue
		}
		err := c.writer.write(batch)
		for i, t := range batch {
			t.settled <- err
			batch[i] = nil // let go of the body
		}
	}
}

// gather takes what waits already, up to the bounds of a batch.
func (c *committer) gather(batch []*ticket, next *ticket) []*ticket {
	bytes := 0
	for {
		if next.take() {
			batch = append(batch, next)
			bytes += next.entry.size()
		}
		if len(batch) >= c.batch || bytes >= maxBatchBytes {
			return batch
		}
		select {
		case t, open := <-c.queue:
			if !open {
				return batch
			}
			next = t
		default:
			return batch
		}
	}
}

// stop lets the committer finish what is queued, then closes the writer.
func (c *committer) stop() error {
	c.mutex.Lock()
	already := c.closed
	c.closed = true
	if !already {
		close(c.queue)
	}
	c.mutex.Unlock()
	<-c.done
	if already {
		return nil
	}
	return c.writer.close()
}
