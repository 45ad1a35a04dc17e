// Package memory counts the memory of bodies and of their copies against one budget, and finds the limit of the process.
package memory

import (
	"container/list"
	"context"
	"errors"
	"net/netip"
	"sync"
)

// ErrFull is returned when a part of the budget does not become free in time.
var ErrFull = errors.New("memory: the budget is used up")

// SmallBytes is the length up to which a body counts as small.
const SmallBytes = 64 << 10

// Budget is the memory for bodies, in parts that cannot take from each other: neither do large callbacks keep small ones out,
// nor callbacks the steps of stored events.
type Budget struct {
	Small *Part // bodies of callbacks up to SmallBytes, and the beginnings of others
	Large *Part // bodies of callbacks beyond that
	Work  *Part // bodies of stored events, in steps and in the admin listener
}

// New returns a budget of total bytes.
func New(total int64) *Budget {
	const shares, small, work = 8, 1, 3
	b := &Budget{Small: newPart(total * small / shares), Work: newPart(total * work / shares)}
	b.Large = newPart(total - b.Small.total - b.Work.total)
	b.Work.share = b.Work.total // has one owner
	return b
}

// Part is a part of a Budget. It is safe for concurrent use.
type Part struct {
	total, share int64 // of the part, and of one owner at most

	mutex   sync.Mutex
	free    int64
	owners  map[netip.Prefix]int64 // bytes of each owner that has some
	waiting *list.List             // of *waiter, the first came first
}

func newPart(total int64) *Part {
	return &Part{total: total, free: total, share: total - total/4, owners: map[netip.Prefix]int64{}, waiting: list.New()}
}

// waiter is a call of Acquire that waits.
type waiter struct {
	owner   netip.Prefix
	bytes   int64
	granted chan struct{} // closed when the bytes belong to it
}

// AcquireLoad acquires what a body of n bytes takes while it is loaded from a store: the buffers of the store, of its driver and of
// the caller. A small body takes nothing.
func (p *Part) AcquireLoad(ctx context.Context, n int64) (*Lease, error) {
	const copies = 3
	if n <= SmallBytes {
		return nil, nil //nolint:nilnil // a nil lease has no memory
	}
	return p.Acquire(ctx, netip.Prefix{}, copies*n)
}

// Lease is memory that belongs to an owner until Release.
type Lease struct {
	part  *Part
	owner netip.Prefix
	bytes int64
}

// Acquire waits until n bytes are free and within the share of the owner, which is three quarters of the part. A request for more
// gets all of the share: it waits until its owner has nothing else. An owner is the network of a client; the zero Prefix is the
// receiver itself. Acquire returns ErrFull when ctx ends. A nil part has no limit.
func (p *Part) Acquire(ctx context.Context, owner netip.Prefix, n int64) (*Lease, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // a nil lease has no memory
	}
	w := &waiter{owner: owner, bytes: min(n, p.share), granted: make(chan struct{})}
	element := p.enqueue(w)
	select {
	case <-w.granted:
		return &Lease{part: p, owner: owner, bytes: w.bytes}, nil
	case <-ctx.Done():
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	select {
	case <-w.granted:
		return &Lease{part: p, owner: owner, bytes: w.bytes}, nil
	default:
		p.waiting.Remove(element)
		p.grant() // those behind it may fit
		return nil, ErrFull
	}
}

func (p *Part) enqueue(w *waiter) *list.Element {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	element := p.waiting.PushBack(w)
	p.grant()
	return element
}

// grant passes free bytes to those who wait, in their order. An owner with its share waits without delaying others. The mutex is held.
func (p *Part) grant() {
	for element := p.waiting.Front(); element != nil; {
		next := element.Next()
		if w, ok := element.Value.(*waiter); ok && p.owners[w.owner]+w.bytes <= p.share {
			if w.bytes > p.free {
				return
			}
			p.free -= w.bytes
			p.owners[w.owner] += w.bytes
			p.waiting.Remove(element)
			close(w.granted)
		}
		element = next
	}
}

// Release returns the memory. A nil lease has none; releasing twice has no effect.
func (l *Lease) Release() { l.Shrink(0) }

// Shrink returns the memory beyond n bytes.
func (l *Lease) Shrink(n int64) {
	if l == nil {
		return
	}
	p := l.part
	p.mutex.Lock()
	defer p.mutex.Unlock()
	returned := max(l.bytes-n, 0)
	if returned == 0 {
		return
	}
	l.bytes -= returned
	p.free += returned
	if p.owners[l.owner] -= returned; p.owners[l.owner] == 0 {
		delete(p.owners, l.owner)
	}
	p.grant()
}
