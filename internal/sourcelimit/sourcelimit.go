// Package sourcelimit limits what one client IP, or one IPv6 network, may cost.
package sourcelimit

import (
	"net/netip"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/lru"
	"golang.org/x/time/rate"
)

// MaxSources bounds the sources that a Limiter remembers. It forgets the one that was charged longest ago.
const MaxSources = 4096

// Limiter counts charges per source. It is safe for concurrent use.
type Limiter struct {
	every time.Duration
	burst int

	mutex   sync.Mutex
	sources *lru.Cache[netip.Prefix, *rate.Limiter]
}

// New returns a limiter that accepts burst charges of a source at once, and then one in each interval every.
func New(burst int, every time.Duration) *Limiter {
	return &Limiter{every: every, burst: burst, sources: lru.New[netip.Prefix, *rate.Limiter](MaxSources)}
}

// Source returns the network that an address counts for: an IPv4 address itself, and the /64 of an IPv6 address,
// because a customer gets at least that. It is the zero Prefix for an invalid address.
func Source(addr netip.Addr) netip.Prefix {
	const bits4, bits6 = 32, 64
	addr = addr.Unmap().WithZone("")
	bits := bits6
	if addr.Is4() {
		bits = bits4
	}
	source, _ := addr.Prefix(bits) // fails for the zero Addr only
	return source
}

// Wait returns how long the source of addr must wait before its next charge; 0 if it need not.
func (l *Limiter) Wait(addr netip.Addr, now time.Time) time.Duration {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	limiter, ok := l.sources.Get(Source(addr))
	if !ok {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	return max(0, time.Duration(missing*float64(l.every)))
}

// Charge counts against the source of addr. Charges that are made at the same moment may overdraw.
func (l *Limiter) Charge(addr netip.Addr, now time.Time) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	source := Source(addr)
	limiter, ok := l.sources.Get(source)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.sources.Put(source, limiter)
	}
	limiter.AllowN(now, 1)
}

// Sources returns the number of sources that are remembered.
func (l *Limiter) Sources() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.sources.Len()
}
