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

	"github.com/deepimage-receiver/receiver/internal/sourcelimit"
)

// Reasons of a closed connection, and labels of a metric.
const (
	closedIdle   = "idle"      // the oldest idle connection, closed in favor of a new one
	closedLinger = "lingering" // the oldest connection with a response whose client still sends
	closedSlow   = "slow"      // the connection with the slowest body
	closedShare  = "share"     // a connection of a client that has its share: of a proxy, or a new one while none can be closed
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

// limitedListener has at most limit connections open, and at most three quarters of it from one client. A connection of a proxy counts
// for the client of its request while there is one, and else for no share. Beyond
// that, it closes another connection for a new one: the oldest idle one, also in a header section, else the oldest that lingers, else the one with
// the slowest body. If there is none, it closes the new one at once, so that its client does not wait, or lets it use a spare one.
type limitedListener struct {
	*net.TCPListener
	limit     int
	spare     int
	proxies   func(netip.Addr) bool                // whether an address is a proxy, of which connections of many clients come
	closed    func(reason string)                  // called for each connection that is closed because of the limit
	malformed func(reason string, from netip.Addr) // called for each request that net/http refuses

	mutex    sync.Mutex
	open     int
	byClient map[netip.Prefix]int
	phases   [phaseBusy]*list.List // of *countedConn, the oldest first; none for phaseBusy
}

// Accept returns the next connection within the limits.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		from := addressOf(connection.RemoteAddr())
		c := &countedConn{TCPConn: connection, listener: l, address: from, client: sourcelimit.Source(from), proxy: l.proxies(from)}
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
	case !c.proxy && l.byClient[c.client] >= l.share():
		evicted, reason = l.evictable(func(other *countedConn) bool { return other.client == c.client })
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
	l.byClient[c.client]++
	c.phase = phaseIdle
	c.element = l.phases[phaseIdle].PushBack(c)
	return evicted, reason
}

// share is how many connections one client may have.
func (l *limitedListener) share() int { return l.limit - l.limit/4 }

// attribute counts a connection of a proxy for the client of its request. If the client has its share, the connection that closes
// for this one is evicted; ok is false if none of the client can.
func (l *limitedListener) attribute(c *countedConn, client netip.Prefix) (evicted *countedConn, ok bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if c.removed || c.client == client || client == sourcelimit.Source(c.address) {
		return nil, true
	}
	if l.byClient[client] >= l.share() {
		if evicted, _ = l.evictable(func(other *countedConn) bool { return other.client == client }); evicted == nil {
			return nil, false
		}
		l.remove(evicted)
	}
	l.count(c, client)
	return evicted, true
}

// count counts an open connection for another client. The mutex is held.
func (l *limitedListener) count(c *countedConn, client netip.Prefix) {
	if l.byClient[c.client]--; l.byClient[c.client] == 0 {
		delete(l.byClient, c.client)
	}
	c.client = client
	l.byClient[client]++
}

// hasMuch reports whether the client of a connection has at least the average number of them. The mutex is held.
func (l *limitedListener) hasMuch(c *countedConn) bool {
	return l.byClient[c.client]*len(l.byClient) >= l.open
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
	if l.byClient[c.client]--; l.byClient[c.client] == 0 {
		delete(l.byClient, c.client)
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
		c.endRequest()
	}
}

// addressOf returns the IP address of the other end of a connection.
func addressOf(address net.Addr) netip.Addr {
	remote, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.Addr{}
	}
	return remote.Addr().Unmap().WithZone("")
}

// countedConn is a connection that its listener counts until it is closed. It embeds *net.TCPConn because net/http
// half-closes connections whose client still sends.
type countedConn struct {
	*net.TCPConn
	listener *limitedListener
	address  netip.Addr
	proxy    bool // of many clients
	spare    bool // beyond the limit

	client  netip.Prefix  // for whom it counts; guarded by the mutex of the listener
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

// beginRequest counts the connection for the client of its request. It returns false if the client has its share of connections.
func (c *countedConn) beginRequest(client netip.Addr) bool {
	if c == nil || !c.proxy {
		return true
	}
	evicted, ok := c.listener.attribute(c, sourcelimit.Source(client))
	switch {
	case evicted != nil:
		c.listener.closed(closedShare)
		_ = evicted.Close()
	case !ok:
		c.listener.closed(closedShare)
	}
	return ok
}

// endRequest counts the connection of a proxy for the proxy again.
func (c *countedConn) endRequest() {
	if !c.proxy {
		return
	}
	c.listener.mutex.Lock()
	defer c.listener.mutex.Unlock()
	if !c.removed {
		c.listener.count(c, sourcelimit.Source(c.address))
	}
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
		c.listener.malformed(reason, c.address)
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
		c.listener.malformed(reason, c.address)
	}
	return c.TCPConn.Write(p)
}
