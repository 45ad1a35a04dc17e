// Package memory counts the memory of bodies and of their copies against one budget, and finds the limit of the process.
package memory

import (
	"container/list"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// ErrFull is returned when a part of the budget does not become free in time.
var ErrFull = errors.New("memory: the budget is used up")

// SmallBytes is the length up to which a body counts as small.
const SmallBytes = 64 << 10

// loadTimeout is the longest wait for the memory of a body in a store.
const loadTimeout = 10 * time.Second

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

// waiter is a call of Acquire or Grow that waits.
type waiter struct {
	owner   netip.Prefix
	bytes   int64
	grows   bool          // of Grow
	granted chan struct{} // closed when the bytes belong to it
}

func (w *waiter) isGranted() bool {
	select {
	case <-w.granted:
		return true
	default:
		return false
	}
}

// Used returns the bytes that owners have, and the bytes of the part.
func (p *Part) Used() (used, total int64) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.total - p.free, p.total
}

// AcquireLoad acquires what a body of n bytes takes while it is loaded from a store: the buffers of the store, of its driver and of
// the caller. A small body takes nothing. AcquireLoad waits no longer than loadTimeout: a large body must not delay others for as long
// as the slowest step.
func (p *Part) AcquireLoad(ctx context.Context, n int64) (*Lease, error) {
	const copies = 3
	if n <= SmallBytes {
		return nil, nil //nolint:nilnil // a nil lease has no memory
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
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
	if err := p.await(ctx, w); err != nil {
		return nil, err
	}
	return &Lease{part: p, owner: owner, bytes: w.bytes}, nil
}

// Grow waits until the lease can have n bytes, or all of the share of its owner if n is more, and returns ErrFull when ctx ends. It
// goes before all calls of Acquire, because they may wait for the memory of this lease. Two leases that grow could wait for each
// other: only one waits, and the other one gets ErrFull at once. A nil lease has no limit.
func (l *Lease) Grow(ctx context.Context, n int64) error {
	if l == nil {
		return nil
	}
	w := &waiter{owner: l.owner, bytes: min(n, l.part.share) - l.bytes, grows: true, granted: make(chan struct{})}
	if w.bytes <= 0 {
		return nil
	}
	if err := l.part.await(ctx, w); err != nil {
		return err
	}
	l.bytes += w.bytes
	return nil
}

// await returns when the bytes are granted, or ErrFull.
func (p *Part) await(ctx context.Context, w *waiter) error {
	element := p.enqueue(w)
	if element == nil {
		return ErrFull
	}
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if w.isGranted() {
		return nil
	}
	p.waiting.Remove(element)
	p.grant() // those behind it may fit
	return ErrFull
}

// enqueue returns nil if there are no bytes and nothing to wait for.
func (p *Part) enqueue(w *waiter) *list.Element {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if !w.grows {
		element := p.waiting.PushBack(w)
		p.grant()
		return element
	}
	other := p.isGrowing()
	element := p.waiting.PushFront(w)
	p.grant()
	if other && !w.isGranted() {
		p.waiting.Remove(element)
		return nil
	}
	return element
}

// isGrowing reports whether a lease waits to grow. The mutex is held.
func (p *Part) isGrowing() bool {
	first := p.waiting.Front()
	if first == nil {
		return false
	}
	w, ok := first.Value.(*waiter)
	return ok && w.grows
}

// grant passes free bytes to those who wait, in their order. An owner with its share waits without delaying others. The mutex is held.
func (p *Part) grant() {
	waits := map[netip.Prefix]bool{} // owners whose share has no place for their first request
	for element := p.waiting.Front(); element != nil; {
		next := element.Next()
		w, ok := element.Value.(*waiter)
		switch {
		case !ok || waits[w.owner]:
		case p.owners[w.owner]+w.bytes > p.share:
			waits[w.owner] = true
		case w.bytes > p.free:
			return
		default:
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
