package app

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/config"
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

// unverified bounds the bytes of callbacks that are stored and that the vendor has not confirmed, in all and for each source. The
// stores are counted at intervals; what is accepted since then is added.
type unverified struct {
	*background.Service

	limit, share int64
	count        func(ctx context.Context) (map[netip.Addr]int64, error)

	mutex    sync.Mutex
	reserved sourceBytes // not committed yet
	accepted sourceBytes // committed since the latest count began
	earlier  sourceBytes // committed before the latest count began and after the latest one that succeeded
	counted  sourceBytes // by the latest count that succeeded
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
func newUnverified(c config.Config, count func(context.Context) (map[netip.Addr]int64, error), failed func(error)) *unverified {
	largest := 2 * int64(c.Webhook.MaxBodyBytes)
	u := &unverified{
		limit: max(int64(c.MaxUnverifiedBytes), largest), share: max(int64(c.MaxUnverifiedBytes)/sourceShares, largest), count: count,
		reserved: sourceBytes{}, accepted: sourceBytes{}, earlier: sourceBytes{}, counted: sourceBytes{},
	}
	u.Service = background.New("app", background.Loop{Pass: u.pass, Failed: failed})
	return u
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
	for source, bytes := range u.accepted {
		u.earlier.add(source, bytes)
	}
	clear(u.accepted)
	u.mutex.Unlock()
	found, err := u.count(ctx)
	if err != nil {
		return err
	}
	counted := sourceBytes{}
	for address, bytes := range found {
		counted.add(sourcelimit.Source(address), bytes)
	}
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.counted = counted
	clear(u.earlier)
	return nil
}

// Reserve reserves bytes for a callback of a source. It returns false if that would exceed a bound; else the caller calls settle and
// says whether the store has the callback now.
func (u *unverified) Reserve(address netip.Addr, bytes int64) (settle func(stored bool), ok bool) {
	source := sourcelimit.Source(address)
	u.mutex.Lock()
	defer u.mutex.Unlock()
	var all, own int64
	for _, b := range []sourceBytes{u.reserved, u.accepted, u.earlier, u.counted} {
		all += b.sum()
		own += b[source]
	}
	if all+bytes > u.limit || own+bytes > u.share {
		return nil, false
	}
	u.reserved.add(source, bytes)
	return func(stored bool) {
		u.mutex.Lock()
		defer u.mutex.Unlock()
		u.reserved.add(source, -bytes)
		if stored {
			u.accepted.add(source, bytes)
		}
	}, true
}

// countUnverified counts what waits in the inbox before the work store: an event that is relayed meanwhile counts twice, not never.
func (a *App) countUnverified(ctx context.Context) (map[netip.Addr]int64, error) {
	sums, err := a.inbox.UnrelayedBytes(ctx)
	if err != nil {
		return nil, err
	}
	relayed, err := a.work.Workflow.UnverifiedBytes(ctx)
	for source, bytes := range relayed {
		sums[source] += bytes
	}
	return sums, err
}
