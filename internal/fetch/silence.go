package fetch

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/lru"
)

const (
	maxSilentAddresses = 256
	silentLast         = 10 * time.Minute // since the last silence
	maxSilentTries     = 3                // of one request, before it waits for an address as long as it may
)

// silence remembers addresses that accept connections and send nothing. They are dialled last. It is safe for concurrent use.
type silence struct {
	after time.Duration // that an address may be silent while the host has another

	mutex sync.Mutex
	known *lru.Cache[string, time.Time]
}

func newSilence(after time.Duration) *silence {
	return &silence{after: after, known: lru.New[string, time.Time](maxSilentAddresses)}
}

func (s *silence) add(address string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.known.Put(address, time.Now())
}

func (s *silence) isKnown(address string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	since, ok := s.known.Get(address)
	return ok && time.Since(since) < silentLast
}

// order returns the addresses with silent ones last.
func (s *silence) order(addresses []string) []string {
	var last []string
	first := slices.DeleteFunc(slices.Clone(addresses), func(address string) bool {
		silent := s.isKnown(address)
		if silent {
			last = append(last, address)
		}
		return silent
	})
	return append(first, last...)
}

// hostConn is a connection to one of the addresses of a host.
type hostConn struct {
	net.Conn

	silence   *silence
	address   string
	addresses []string // all of the host
	begun     time.Time
	latest    atomic.Int64 // when the latest bytes came, in nanoseconds since begun; 0 before the first
}

// Read implements net.Conn.
func (c *hostConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.latest.Store(max(1, int64(time.Since(c.begun))))
	}
	return n, err
}

// isSilent reports whether nothing came for so long that the address may not answer.
func (c *hostConn) isSilent() bool {
	return time.Since(c.begun)-time.Duration(c.latest.Load()) >= c.silence.after/2
}

// Close closes the connection. An address that was silent, as during the TLS handshake, is dialled last from then on.
func (c *hostConn) Close() error {
	if c.latest.Load() == 0 && c.isSilent() {
		c.silence.add(c.address)
	}
	return c.Conn.Close()
}

// hasOther reports whether the host has another address that is not known to be silent.
func (c *hostConn) hasOther() bool {
	return slices.ContainsFunc(c.addresses, func(other string) bool { return other != c.address && !c.silence.isKnown(other) })
}

// hostConnOf returns the connection to a host that is within a connection of the transport; nil for one through a proxy.
func hostConnOf(connection net.Conn) *hostConn {
	if encrypted, ok := connection.(*tls.Conn); ok {
		connection = encrypted.NetConn()
	}
	c, _ := connection.(*hostConn)
	return c
}

// send sends a request. If an address of the host sends nothing while there is another, that one gets the request instead.
func (s *silence) send(ctx context.Context, transport *http.Transport, request *http.Request) (*http.Response, error) {
	for range maxSilentTries {
		response, silent, err := s.try(ctx, transport, request)
		if err == nil || !silent || ctx.Err() != nil {
			return response, err
		}
	}
	return transport.RoundTrip(request.WithContext(ctx))
}

// try sends a request. silent reports that a connection was closed because its address sent nothing.
func (s *silence) try(ctx context.Context, transport *http.Transport, request *http.Request) (response *http.Response, silent bool, err error) {
	w := &firstByte{silence: s}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { w.begin(hostConnOf(info.Conn)) }, GotFirstResponseByte: w.end}
	response, err = transport.RoundTrip(request.WithContext(httptrace.WithClientTrace(ctx, trace)))
	w.end()
	return response, w.silent, err
}

// firstByte waits for the first byte of a response.
type firstByte struct {
	silence *silence

	mutex  sync.Mutex
	timer  *time.Timer // nil while nothing is waited for
	silent bool        // nothing came in time
}

// begin begins to wait, if the host has another address; nil stands for a connection to a proxy.
func (w *firstByte) begin(c *hostConn) {
	w.end()
	if c == nil || !c.hasOther() {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.timer = time.AfterFunc(w.silence.after, func() { w.giveUp(c) })
}

// giveUp closes a connection on which nothing comes. The transport then does not use it for another request. While other responses
// come over it by HTTP/2, only this one is slow, and giveUp looks again later.
func (w *firstByte) giveUp(c *hostConn) {
	w.mutex.Lock()
	waits := w.timer != nil
	if waits && !c.isSilent() {
		w.timer.Reset(w.silence.after / 2)
		waits = false
	}
	w.silent = w.silent || waits
	w.mutex.Unlock()
	if waits {
		w.silence.add(c.address)
		_ = c.Close()
	}
}

// end ends the wait.
func (w *firstByte) end() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}
