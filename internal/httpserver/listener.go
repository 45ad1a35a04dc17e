package httpserver

import (
	"container/list"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Reasons of a closed connection, and labels of a metric.
const (
	closedIdle  = "idle"  // the oldest idle connection, closed in favor of a new one
	closedShare = "share" // a new connection of an address that has its share, none of it idle
	closedLimit = "limit" // a new connection while none is idle
)

// limitedListener has at most limit connections open, and at most three quarters of it from one address. Beyond that, it
// closes the oldest idle connection for a new one. If none is idle, it closes the new one at once, so that its client does not wait.
type limitedListener struct {
	*net.TCPListener
	limit     int
	closed    func(reason string)                  // called for each connection that is closed because of the limit
	malformed func(reason string, from netip.Addr) // called for each request that net/http refuses

	mutex     sync.Mutex
	open      int
	byAddress map[netip.Prefix]int
	idle      *list.List // of *countedConn, the oldest first
}

func limitConns(listener net.Listener, limit int, closed func(string), malformed func(string, netip.Addr)) (*limitedListener, error) {
	plain, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("httpserver: %s is no TCP address", listener.Addr())
	}
	return &limitedListener{
		TCPListener: plain, limit: limit, closed: closed, malformed: malformed, byAddress: make(map[netip.Prefix]int), idle: list.New(),
	}, nil
}

// Accept returns the next connection within the limits.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		c := &countedConn{TCPConn: connection, listener: l, address: network(connection.RemoteAddr())}
		evicted, refused := l.add(c)
		switch {
		case refused != "":
			l.closed(refused)
			_ = connection.Close() // nothing was sent on it
			continue
		case evicted != nil:
			l.closed(closedIdle)
			_ = evicted.Close()
		}
		return c, nil
	}
}

// add counts a new connection. It returns the idle connection to close for it, or why the new one is refused.
func (l *limitedListener) add(c *countedConn) (evicted *countedConn, refused string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	switch {
	case l.byAddress[c.address] >= l.limit-l.limit/4:
		evicted, refused = l.oldestIdle(func(other *countedConn) bool { return other.address == c.address }), closedShare
	case l.open >= l.limit:
		evicted, refused = l.oldestIdle(func(*countedConn) bool { return true }), closedLimit
	}
	if evicted == nil && refused != "" {
		return nil, refused
	}
	if evicted != nil {
		l.remove(evicted)
	}
	l.open++
	l.byAddress[c.address]++
	c.idle = l.idle.PushBack(c)
	return evicted, ""
}

// oldestIdle returns the connection that is idle for the longest time among those that match; nil if there is none. The mutex is held.
func (l *limitedListener) oldestIdle(match func(*countedConn) bool) *countedConn {
	for element := l.idle.Front(); element != nil; element = element.Next() {
		if c, ok := element.Value.(*countedConn); ok && match(c) {
			return c
		}
	}
	return nil
}

// remove stops counting a connection. The mutex is held.
func (l *limitedListener) remove(c *countedConn) {
	if c.removed {
		return
	}
	c.removed = true
	l.setIdle(c, false)
	l.open--
	if l.byAddress[c.address]--; l.byAddress[c.address] == 0 {
		delete(l.byAddress, c.address)
	}
}

// setIdle moves a connection into or out of the list of idle ones. The mutex is held.
func (l *limitedListener) setIdle(c *countedConn, idle bool) {
	switch {
	case idle && c.idle == nil && !c.removed:
		c.idle = l.idle.PushBack(c)
	case !idle && c.idle != nil:
		l.idle.Remove(c.idle)
		c.idle = nil
	}
}

// connState is the hook of http.Server: a connection is idle until its first request and between two requests.
func connState(connection net.Conn, state http.ConnState) {
	c, ok := connection.(*countedConn)
	if !ok {
		return
	}
	c.listener.mutex.Lock()
	defer c.listener.mutex.Unlock()
	switch state {
	case http.StateActive:
		c.listener.setIdle(c, false)
	case http.StateIdle:
		c.listener.setIdle(c, true)
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
	idle     *list.Element // guarded by the mutex of the listener
	removed  bool          // guarded by the mutex of the listener
	received received
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
