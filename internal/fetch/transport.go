package fetch

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// newTransport makes the only way out: every connection is dialled through the
// guard, and no proxy stands before it.
func newTransport(g *guard, chosen options) *http.Transport {
	dialer := &net.Dialer{
		Timeout:        chosen.limits.dial,
		Resolver:       chosen.resolver,
		ControlContext: g.control,
	}
	return &http.Transport{
		Proxy:                  nil, // never the environment's: the guard would see only the proxy
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: chosen.roots},
		TLSHandshakeTimeout:    chosen.limits.handshake,
		ResponseHeaderTimeout:  chosen.limits.header,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: 1 << 20,
			SendPingTimeout:           15 * time.Second, // a dead connection leaves the pool
			PingTimeout:               10 * time.Second,
		},
		MaxIdleConns:        32,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}
}
