package app

import (
	"context"
	"maps"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/sourcelimit"
)

const (
	// recountInterval is the shortest pause between two counts of the stores, and recountShare bounds the part of the time they take.
	recountInterval = time.Second
	recountShare    = 20
	recountTimeout  = 30 * time.Second
	// sourceShares is how many sources together may use up the bound.
	sourceShares = 4
)

// unverified bounds the bytes of callbacks that are stored and that the vendor has not confirmed: of large ones in all and for each source,
// of small ones for each source only, so that no source keeps out the usual callbacks of another. The stores are counted at intervals;
// what this process accepted since then is added. What other replicas accepted since then is not, so that together they may exceed a
// bound by what they accept in one interval.
type unverified struct {
	*background.Service

	count func(ctx context.Context) (map[netip.Addr]database.SourceBytes, error)

	mutex        sync.Mutex
	small, large ledger
}

// ledger counts the bytes of one kind of callbacks. It is guarded by the mutex of unverified.
type ledger struct {
	limit, share int64       // in all, and of one source
	reserved     sourceBytes // not committed yet
	accepted     sourceBytes // committed since the latest count began
	earlier      sourceBytes // committed before the latest count began and after the latest one that succeeded
	counted      sourceBytes // by the latest count that succeeded
}

func newLedger(limit, share int64) ledger {
	return ledger{limit: limit, share: share, reserved: sourceBytes{}, accepted: sourceBytes{}, earlier: sourceBytes{}, counted: sourceBytes{}}
}

// begin begins a count.
func (l *ledger) begin() {
	for source, bytes := range l.accepted {
		l.earlier.add(source, bytes)
	}
	clear(l.accepted)
}

// end ends a count that succeeded.
func (l *ledger) end(counted sourceBytes) {
	l.counted = counted
	clear(l.earlier)
}

// fits reports whether a source may have so many bytes more.
func (l *ledger) fits(source netip.Prefix, bytes int64) bool {
	all, own := bytes, bytes
	for _, b := range []sourceBytes{l.reserved, l.accepted, l.earlier, l.counted} {
		own += b[source]
		if l.limit < math.MaxInt64 {
			all += b.sum()
		}
	}
	return all <= l.limit && own <= l.share
}

// sourceBytes are the bytes of each source.
type sourceBytes map[netip.Prefix]int64

func (b sourceBytes) add(source netip.Prefix, bytes int64) {
	if b[source] += bytes; b[source] == 0 {
		delete(b, source)
	}
}

func (b sourceBytes) sum() (sum int64) {
	for bytes := range maps.Values(b) {
		sum += bytes
	}
	return sum
}

// newUnverified returns a bound that also fits the largest body and its original.
func newUnverified(
	c config.Config, count func(context.Context) (map[netip.Addr]database.SourceBytes, error), failed func(error),
) *unverified {
	largest, limit := 2*int64(c.Webhook.MaxBodyBytes), int64(c.MaxUnverifiedBytes)
	u := &unverified{
		count: count, small: newLedger(math.MaxInt64, max(limit, largest)),
		large: newLedger(max(limit, largest), max(limit/sourceShares, largest)),
	}
	u.Service = background.New("app", background.Loop{Pass: u.pass, Failed: failed})
	return u
}

// startUnverified counts the unverified bytes, and goes on with it.
func (a *App) startUnverified(ctx context.Context) error {
	if a.unverified == nil {
		return nil
	}
	if err := a.unverified.recount(ctx); err != nil {
		return err
	}
	a.unverified.Start()
	a.cleanups.add("unverified bytes", a.unverified.Stop)
	return nil
}

func (u *unverified) pass(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	err := u.recount(ctx)
	return max(recountInterval, recountShare*time.Since(begun)), err
}

// recount counts the stores. If that fails the latest count stays.
func (u *unverified) recount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recountTimeout)
	defer cancel()
	u.mutex.Lock()
	u.small.begin()
	u.large.begin()
	u.mutex.Unlock()
	found, err := u.count(ctx)
	if err != nil {
		return err
	}
	small, large := sourceBytes{}, sourceBytes{}
	for address, bytes := range found {
		small.add(sourcelimit.Source(address), bytes.Small)
		large.add(sourcelimit.Source(address), bytes.Large)
	}
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.small.end(small)
	u.large.end(large)
	return nil
}

// Reserve reserves bytes for a callback of a source. It returns false if that would exceed a bound; else the caller calls settle and
// says whether the store has the callback now.
func (u *unverified) Reserve(address netip.Addr, bytes int64) (settle func(stored bool), ok bool) {
	source := sourcelimit.Source(address)
	l := &u.large
	if bytes <= memory.SmallBytes {
		l = &u.small
	}
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if !l.fits(source, bytes) {
		return nil, false
	}
	l.reserved.add(source, bytes)
	return func(stored bool) {
		u.mutex.Lock()
		defer u.mutex.Unlock()
		l.reserved.add(source, -bytes)
		if stored {
			l.accepted.add(source, bytes)
		}
	}, true
}

// countUnverified counts what waits in the inbox before the work store: an event that is relayed meanwhile counts twice, not never.
func (a *App) countUnverified(ctx context.Context) (map[netip.Addr]database.SourceBytes, error) {
	sums, err := a.inbox.UnrelayedBytes(ctx)
	if err != nil {
		return nil, err
	}
	relayed, err := a.work.Workflow.UnverifiedBytes(ctx)
	for source, bytes := range relayed {
		sum := sums[source]
		sums[source] = database.SourceBytes{Small: sum.Small + bytes.Small, Large: sum.Large + bytes.Large}
	}
	return sums, err
}
