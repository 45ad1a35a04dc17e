package deepimage

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxSources bounds the sources that are remembered. Who has more addresses than this gains
// nothing but the client's own rate, which bounds everybody together.
const maxSources = 4096

// The networks that count as one source: a customer gets at least a /64 of IPv6.
const (
	sourceBits4 = 32
	sourceBits6 = 64
)

// quota keeps one source from spending the account's calls on made-up jobs. A source pays only
// for look-ups of jobs that the API does not know, or to whose ids it gives no answer of its own: the vendor's own
// addresses, from which all real callbacks come, never do.
type quota struct {
	perMinute int

	mutex   sync.Mutex
	sources *lru[netip.Prefix, *rate.Limiter] // those that have paid lately
}

func newQuota(perMinute int) *quota {
	return &quota{perMinute: perMinute, sources: newLRU[netip.Prefix, *rate.Limiter](maxSources)}
}

// sourceOf gives the network that an address counts for. The zero address is no source: it must
// not become one that everybody without an address shares.
func sourceOf(addr netip.Addr) (source netip.Prefix, known bool) {
	addr = addr.Unmap().WithZone("")
	bits := sourceBits6
	if addr.Is4() {
		bits = sourceBits4
	}
	source, err := addr.Prefix(bits)
	return source, err == nil && source.IsValid()
}

// admit refuses a source that has used up what it may ask for.
func (q *quota) admit(addr netip.Addr, now time.Time) *Error {
	source, known := sourceOf(addr)
	if !known {
		return nil
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	limiter, paid := q.sources.get(source)
	if !paid {
		return nil
	}
	missing := 1 - limiter.TokensAt(now)
	if missing <= 0 {
		return nil
	}
	refusal := failf(KindSource, "callbacks from %s have named too many jobs of which the Deep Image API knows nothing; the job was not looked up yet", source)
	refusal.After = time.Duration(missing / float64(limiter.Limit()) * float64(time.Second))
	return refusal
}

// charge has a source pay for a look-up that was for nothing. Look-ups under way at the same
// moment may overdraw by as many as there are.
func (q *quota) charge(addr netip.Addr, now time.Time) {
	source, known := sourceOf(addr)
	if !known {
		return
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	limiter, paid := q.sources.get(source)
	if !paid {
		limiter = rate.NewLimiter(rate.Every(time.Minute/time.Duration(q.perMinute)), q.perMinute)
		q.sources.put(source, limiter)
	}
	limiter.AllowN(now, 1)
}
