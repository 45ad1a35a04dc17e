package httpserver

import (
	"container/list"
	"context"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Reasons of a closed connection, and labels of a metric.
const (
	closedIdle   = "idle"      // the oldest idle connection, closed in favor of a new one
	closedLinger = "lingering" // the oldest connection with a response whose client still sends
	closedSlow   = "slow"      // the connection with the slowest body
	closedShare  = "share"     // a new connection of an address that has its share, none of which can be closed
	closedLimit  = "limit"     // a new connection while none can be closed
)

// phase is what a connection is doing. At the limit, connections in an earlier phase are closed first.
type phase int

const (
	phaseIdle   phase = iota // before a request, also in its header section
	phaseLinger              // sending what is not read any more
	phaseBody                // in the body of a request
	phaseBusy                // its request is complete and has no response: it is not closed
)

const (
	// spareConnections are accepted beyond the limit. They serve the health routes only, so that probes get an answer.
	spareConnections = 16
	// slowAfter is how long a body may take before it is closed at the limit.
	slowAfter = time.Second
)

// limitedListener has at most limit connections open, and at most three quarters of it from one address that is not a proxy. Beyond
// that, it closes another connection for a new one: the oldest idle one, also in a header section, else the oldest that lingers, else the one with
// the slowest body. If there is none, it closes the new one at once, so that its client does not wait, or lets it use a spare one.
type limitedListener struct {
	*net.TCPListener
	limit     int
	spare     int
	proxies   func(netip.Addr) bool                // whether an address is a proxy, of which connections of many clients come
	closed    func(reason string)                  // called for each connection that is closed because of the limit
	malformed func(reason string, from netip.Addr) // called for each request that net/http refuses

	mutex     sync.Mutex
	open      int
	byAddress map[netip.Prefix]int
	phases    [phaseBusy]*list.List // of *countedConn, the oldest first; none for phaseBusy
}

// Accept returns the next connection within the limits.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		from := network(connection.RemoteAddr())
		c := &countedConn{TCPConn: connection, listener: l, address: from, proxy: l.proxies(from.Addr())}
		evicted, reason := l.add(c)
		if reason != "" {
			l.closed(reason)
		}
		switch {
		case evicted != nil:
			_ = evicted.Close()
		case reason != "" && !c.spare:
			_ = connection.Close() // nothing was sent on it
			continue
		}
		return c, nil
	}
}

// add counts a new connection. At a limit it returns the connection to close for it, or none if the new one is refused or spare, and why.
func (l *limitedListener) add(c *countedConn) (evicted *countedConn, reason string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	switch {
	case !c.proxy && l.byAddress[c.address] >= l.limit-l.limit/4:
		evicted, reason = l.evictable(func(other *countedConn) bool { return other.address == c.address })
		if evicted == nil {
			return nil, closedShare
		}
	case l.open >= l.limit:
		evicted, reason = l.evictable(l.hasMuch)
		if evicted == nil {
			evicted, reason = l.evictable(func(*countedConn) bool { return true })
		}
		if c.spare = evicted == nil && l.open < l.limit+l.spare; evicted == nil && !c.spare {
			return nil, closedLimit
		}
		if c.spare {
			reason = closedLimit
		}
	}
	if evicted != nil {
		l.remove(evicted)
	}
	l.open++
	l.byAddress[c.address]++
	c.phase = phaseIdle
	c.element = l.phases[phaseIdle].PushBack(c)
	return evicted, reason
}

// hasMuch reports whether the address of a connection has at least the average number of them. The mutex is held.
func (l *limitedListener) hasMuch(c *countedConn) bool {
	return l.byAddress[c.address]*len(l.byAddress) >= l.open
}

// evictable returns the connection to close among those that match, and why; nil if there is none. The mutex is held.
func (l *limitedListener) evictable(match func(*countedConn) bool) (c *countedConn, reason string) {
	for p, reason := range []string{closedIdle, closedLinger} {
		for element := l.phases[p].Front(); element != nil; element = element.Next() {
			if c, ok := element.Value.(*countedConn); ok && match(c) {
				return c, reason
			}
		}
	}
	slowest := math.Inf(1)
	for element := l.phases[phaseBody].Front(); element != nil; element = element.Next() {
		other, ok := element.Value.(*countedConn)
		if !ok || !match(other) || time.Since(other.began) < slowAfter {
			continue
		}
		if rate := float64(other.bytes.Load()) / time.Since(other.began).Seconds(); rate < slowest {
			c, slowest = other, rate
		}
	}
	return c, closedSlow
}

// remove stops counting a connection. The mutex is held.
func (l *limitedListener) remove(c *countedConn) {
	if c.removed {
		return
	}
	l.setPhase(c, phaseBusy)
	c.removed = true
	l.open--
	if l.byAddress[c.address]--; l.byAddress[c.address] == 0 {
		delete(l.byAddress, c.address)
	}
}

// setPhase moves a connection to the end of the list of a phase. The mutex is held.
func (l *limitedListener) setPhase(c *countedConn, p phase) {
	if c.removed || c.phase == p {
		return
	}
	if c.element != nil {
		l.phases[c.phase].Remove(c.element)
	}
	c.phase, c.element = p, nil
	if p < phaseBusy {
		c.element = l.phases[p].PushBack(c)
	}
}

// connState is the hook of http.Server: a connection is idle until its first request and between two requests.
func connState(connection net.Conn, state http.ConnState) {
	c, ok := connection.(*countedConn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive: // the header section is complete
		c.setPhase(phaseBusy)
	case http.StateIdle:
		c.setPhase(phaseIdle)
	}
}

// network returns the IPv4 address or the /64 network of a client.
func network(address net.Addr) netip.Prefix {
	client, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.Prefix{}
	}
	const bits = 64
	ip := client.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return netip.PrefixFrom(ip, ip.BitLen())
	}
	return netip.PrefixFrom(ip, bits).Masked()
}

// countedConn is a connection that its listener counts until it is closed. It embeds *net.TCPConn because net/http
// half-closes connections whose client still sends.
type countedConn struct {
	*net.TCPConn
	listener *limitedListener
	address  netip.Prefix
	proxy    bool // of many clients
	spare    bool // beyond the limit

	phase   phase         // guarded by the mutex of the listener
	element *list.Element // in the list of the phase; guarded by the mutex of the listener
	removed bool          // guarded by the mutex of the listener
	began   time.Time     // of the body; guarded by the mutex of the listener
	bytes   atomic.Int64  // of the body

	received received
}

func (c *countedConn) setPhase(p phase) {
	if c == nil {
		return
	}
	c.listener.mutex.Lock()
	defer c.listener.mutex.Unlock()
	if p == phaseBody {
		c.began = time.Now()
		c.bytes.Store(0)
	}
	c.listener.setPhase(c, p)
}

// connectionKey is the key of the *countedConn in the context of a request.
type connectionKey struct{}

// withConnection is the hook of http.Server for the contexts of requests.
func withConnection(ctx context.Context, connection net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, connection)
}

// connectionOf returns the connection of a request; nil in tests without one.
func connectionOf(r *http.Request) *countedConn {
	c, _ := r.Context().Value(connectionKey{}).(*countedConn)
	return c
}

// Close closes the connection.
func (c *countedConn) Close() error {
	c.listener.mutex.Lock()
	c.listener.remove(c)
	c.listener.mutex.Unlock()
	if reason := c.received.onClose(); reason != "" {
		c.listener.malformed(reason, c.address.Addr())
	}
	return c.TCPConn.Close()
}

// Read implements net.Conn.
func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.received.onRead(p[:n])
	return n, err
}

// Write implements net.Conn.
func (c *countedConn) Write(p []byte) (int, error) {
	if reason := c.received.onWrite(p); reason != "" {
		c.listener.malformed(reason, c.address.Addr())
	}
	return c.TCPConn.Write(p)
}
