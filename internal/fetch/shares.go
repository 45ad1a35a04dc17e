package fetch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/lru"
)

const (
	measureInterval = 2 * time.Second  // after which a transfer is measured for the first time
	longTransfer    = 30 * time.Second // from which more speed is expected
	quickSpeed      = 128 << 10        // bytes per second; a slower transfer is slow
	quickLongRate   = 1 << 20          // bytes per second, the same for a long transfer
	slowHostsKept   = 1024             // hosts whose last transfer was slow
	slowHostsLast   = 10 * time.Minute // since that transfer
)

// errYielded is the cause of a context whose transfer was interrupted because slow hosts hold their share.
var errYielded = errors.New("slow hosts hold their share of the transfers")

// Shares keeps slow hosts from holding all transfers of a handler: together they hold at most two thirds, and one of them leaves
// something for the others. A transfer beyond that is interrupted as soon as it proves slow. If its host was slow before, it is not
// even begun, but for one at a time: a quick file shows that the host has recovered. The error is of KindBusy. It is safe for
// concurrent use.
type Shares struct {
	slow, perHost int           // transfers at most
	interval      time.Duration // between two measurements

	mutex sync.Mutex
	total int            // slow transfers under way
	held  map[string]int // the same, by host
	known *lru.Cache[string, time.Time]
	probe *share // the one transfer that was begun without a free slot

	single chan struct{} // holds a value while the one transfer that is not slow is under way; nil if there may be several
}

// NewShares returns the shares of a handler that does so many transfers at the same time.
func NewShares(transfers int) *Shares {
	slow := max(transfers-(transfers+2)/3, 1)
	return &Shares{
		slow: slow, perHost: max(slow-1, 1), interval: measureInterval,
		held: map[string]int{}, known: lru.New[string, time.Time](slowHostsKept),
	}
}

// singleWait is how long a transfer waits for another one that is not slow, where only one may be under way.
const singleWait = time.Minute

// NewSingleShares returns the shares of a handler that does one transfer at a time, and another one beside it only while it is slow.
func NewSingleShares() *Shares {
	s := NewShares(2)
	s.single = make(chan struct{}, 1)
	return s
}

// enter waits until no other transfer is under way but slow ones.
func (s *Shares) enter(ctx context.Context, host string) error {
	if s.single == nil {
		return nil
	}
	timer := time.NewTimer(singleWait)
	defer timer.Stop()
	select {
	case s.single <- struct{}{}:
		return nil
	case <-timer.C:
		return failf(KindBusy, "another file is under way, and one is transferred at a time")
	case <-ctx.Done():
		return interruption(ctx, host)
	}
}

// leave lets another transfer begin. The caller holds the mutex.
func (s *Shares) leave(t *share) {
	if s.single != nil && !t.left {
		<-s.single
		t.left = true
	}
}

// share is one transfer under way. The nil share belongs to no Shares.
type share struct {
	shares   *Shares
	host     string // and port
	begun    time.Time
	received atomic.Int64 // bytes
	cancel   context.CancelCauseFunc
	timer    *time.Timer

	holds bool // counted as slow; guarded by the mutex of Shares, like ended
	ended bool
	left  bool // another transfer may begin; only where there is one at a time
}

// begin returns the share of a transfer from a host and the context of the transfer. The caller must end the share.
func (s *Shares) begin(ctx context.Context, host string) (context.Context, *share, error) {
	if s == nil {
		return ctx, nil, nil
	}
	if err := s.enter(ctx, host); err != nil {
		return ctx, nil, err
	}
	made := &share{shares: s, host: host, begun: time.Now()}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if since, ok := s.known.Get(host); ok && time.Since(since) < slowHostsLast && !s.acquire(made) {
		if s.probe != nil {
			s.leave(made)
			return ctx, nil, busy(host)
		}
		s.probe = made
	}
	ctx, made.cancel = context.WithCancelCause(ctx)
	made.timer = time.AfterFunc(s.interval, made.measure)
	return ctx, made, nil
}

// acquire counts a transfer as slow, if a slot is free. The caller holds the mutex.
func (s *Shares) acquire(t *share) bool {
	if s.total >= s.slow || s.held[t.host] >= s.perHost {
		return false
	}
	s.total++
	s.held[t.host]++
	t.holds = true
	s.leave(t)
	if s.probe == t {
		s.probe = nil
	}
	return true
}

// measure interrupts the transfer if it is slow and slow hosts hold their share.
func (t *share) measure() {
	t.shares.mutex.Lock()
	defer t.shares.mutex.Unlock()
	switch {
	case t.ended || t.holds:
	case t.isQuick():
		t.timer.Reset(t.shares.interval)
	default:
		t.shares.known.Put(t.host, time.Now())
		if !t.shares.acquire(t) {
			t.cancel(errYielded)
		}
	}
}

func (t *share) isQuick() bool {
	elapsed, speed := time.Since(t.begun), float64(quickSpeed)
	if elapsed >= longTransfer {
		speed = quickLongRate
	}
	return elapsed < t.shares.interval || float64(t.received.Load()) >= speed*elapsed.Seconds()
}

// add counts received bytes.
func (t *share) add(n int) {
	if t != nil {
		t.received.Add(int64(n))
	}
}

// end releases the share. A host whose file came quickly is no longer known as slow.
func (t *share) end(err error) {
	if t == nil {
		return
	}
	t.timer.Stop()
	t.cancel(nil)
	t.shares.mutex.Lock()
	defer t.shares.mutex.Unlock()
	t.ended = true
	t.shares.leave(t)
	if t.shares.probe == t {
		t.shares.probe = nil
	}
	if t.holds {
		t.shares.total--
		if t.shares.held[t.host]--; t.shares.held[t.host] == 0 {
			delete(t.shares.held, t.host)
		}
	}
	if _, slow := t.shares.known.Get(t.host); slow && err == nil && t.isQuick() {
		t.shares.known.Put(t.host, time.Time{})
	}
}

func busy(host string) *Error {
	return failf(KindBusy, "the host %s is slow, and slow hosts hold their share of the transfers; other events go first", host)
}
