// Package fetch gets the file behind an untrusted URL. A guard in the dialer decides, after DNS, on the very address that
// is dialled.
package fetch

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// Request is one file to get.
type Request struct {
	URL      string // absolute; https, or http where that is allowed
	MaxBytes int64  // at least 1; a longer file is an error of KindTooLarge
	// LengthRequired refuses a file whose length the server does not announce, with KindTruncated: where its content does not show
	// that it is whole, only the length does.
	LengthRequired bool
	Shares         *Shares // of the handler that wants the file; nil has no limit
}

// Client gets files. It is safe for concurrent use.
type Client struct {
	rules     rules
	limits    limits
	userAgent string
	protocols *protocols
	silence   *silence
	metrics   metrics
	proxy     string    // host and port of the proxy; "" without one
	unused    string    // variable of the environment that names a proxy which is not used; "" for none
	buffers   sync.Pool // of *[bufferBytes]byte
}

// Option changes a client. What it may fetch is in Config only.
type Option func(*options)

type options struct {
	roots    *x509.CertPool
	resolver *net.Resolver
	limits   limits
	proxy    *url.URL // nil for none
}

// WithRootCAs replaces the system's certificate authorities.
func WithRootCAs(roots *x509.CertPool) Option {
	return func(o *options) { o.roots = roots }
}

// New returns a client. It returns an error if an allowed host is not a host name, *.domain, * or an IP address.
func New(config Config, choices ...Option) (*Client, error) {
	hosts, err := parseHosts(config.AllowedHosts)
	if err != nil {
		return nil, err
	}
	limits, err := config.limits()
	if err != nil {
		return nil, err
	}
	proxy, err := config.proxy()
	if err != nil {
		return nil, err
	}
	chosen := options{limits: limits, proxy: proxy}
	for _, choose := range choices {
		choose(&chosen)
	}
	guard, silence := newGuard(config.AllowedCIDRs), newSilence(chosen.limits.silence)
	client := &Client{
		rules:     rules{hosts: hosts, plainHTTP: config.AllowHTTP},
		limits:    chosen.limits,
		userAgent: config.userAgent(),
		metrics:   newMetrics(),
		protocols: newProtocols(func() *http.Transport { return newTransport(guard, silence, chosen) }),
		silence:   silence,
	}
	if proxy != nil {
		client.proxy, client.rules.proxied = config.ProxyAddress(), guard
	} else {
		client.unused = EnvironmentProxy()
	}
	return client, nil
}

// newTransport returns a transport that dials every connection through the guard, or through the proxy of the configuration.
// It never uses a proxy of the environment: the guard would see the proxy's address only.
func newTransport(guard *guard, silence *silence, chosen options) *http.Transport {
	transport := httpclient.NewTransport(chosen.roots)
	transport.DialContext = newDialer(guard, silence, chosen).dial
	if chosen.proxy != nil {
		useProxy(transport, chosen)
	}
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

// Get writes the file to w, once and in order, and returns when it is complete. It resumes a broken transfer by range
// request if the server sent a strong validator and a length, repeats both, and the rest begins with the last bytes that were
// received. In doubt the error is of KindTruncated. It is always an *Error; what was written to w is worthless then.
// The deadline is that of ctx.
func (c *Client) Get(ctx context.Context, request Request, w io.Writer) (err error) {
	t, err := c.newTransfer(request, w)
	if err != nil {
		return err
	}
	ctx, t.share, err = request.Shares.begin(ctx, t.target.Host)
	if err != nil {
		return err
	}
	defer func() { t.share.end(err) }()
	begun := time.Now()
	if err := t.run(ctx); err != nil {
		return err
	}
	c.metrics.completed(t.written, time.Since(begun))
	return nil
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.protocols.CloseIdleConnections()
	return nil
}
