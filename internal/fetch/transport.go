package fetch

import (
	"net"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// newTransport returns a transport that dials every connection through the guard. It never uses a proxy of the
// environment: the guard would see the proxy's address only.
func newTransport(g *guard, chosen options) *http.Transport {
	dialer := &net.Dialer{Timeout: chosen.limits.dial, Resolver: chosen.resolver, ControlContext: g.control}
	transport := httpclient.NewTransport(chosen.roots)
	transport.Proxy = nil
	transport.DialContext = dialer.DialContext
	transport.TLSHandshakeTimeout = chosen.limits.handshake
	transport.ResponseHeaderTimeout = chosen.limits.header
	transport.MaxIdleConns = 32
	transport.MaxIdleConnsPerHost = 8
	transport.HTTP2 = &http.HTTP2Config{
		MaxReceiveBufferPerStream: 1 << 20,
		SendPingTimeout:           15 * time.Second, // a dead connection leaves the pool
		PingTimeout:               10 * time.Second,
	}
	return transport
}
