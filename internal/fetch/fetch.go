// Package fetch gets the file behind a URL that a stranger gave us, safely: the
// guard decides in the dialer, after DNS, on the very address that is dialled.
package fetch

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// Request is one file to get.
type Request struct {
	URL      string // absolute; https, or http where that is allowed
	MaxBytes int64  // at least 1; more is an error of KindTooLarge
}

// Client gets files. It is safe for use by many goroutines. New makes it.
type Client struct {
	rules     rules
	limits    limits
	userAgent string
	transport *http.Transport
	buffers   sync.Pool // of *[bufferBytes]byte
}

// Option changes what a client is made of; what it may fetch is in Config only.
type Option func(*options)

type options struct {
	roots    *x509.CertPool
	resolver *net.Resolver
	limits   limits
}

// WithRootCAs replaces the system's certificate authorities.
func WithRootCAs(roots *x509.CertPool) Option {
	return func(o *options) { o.roots = roots }
}

// New makes a client that keeps to config. It fails, with a sentence, if an
// allowed host is not a host name, *.domain, * or an IP address.
func New(config Config, choices ...Option) (*Client, error) {
	hosts, err := parseHosts(config.AllowedHosts)
	if err != nil {
		return nil, err
	}
	chosen := options{limits: config.limits()}
	for _, choose := range choices {
		choose(&chosen)
	}
	return &Client{
		rules:     rules{hosts: hosts, plainHTTP: config.AllowHTTP},
		limits:    chosen.limits,
		userAgent: httpclient.UserAgent(),
		transport: newTransport(newGuard(config.AllowedCIDRs), chosen),
	}, nil
}

// Get streams the file into w, once and in order, and returns when it is
// complete. A broken transfer is continued by range where the server gave a
// strong validator. On any error, which is always an *Error, what was written
// to w is worthless. The time for the whole is that of ctx.
func (c *Client) Get(ctx context.Context, request Request, w io.Writer) error {
	t, err := c.newTransfer(request, w)
	if err != nil {
		return err
	}
	return t.run(ctx)
}

// Close drops idle connections.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}
