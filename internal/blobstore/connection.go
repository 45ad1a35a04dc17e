package blobstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

const (
	idleTimeout     = 30 * time.Second // of a connection between two requests; less than a stall
	identityTimeout = 10 * time.Second // one request for credentials
	bufferBytes     = 64 << 10
)

// newTransport returns a transport to a service that the operator configured. A request has no deadline, because it may carry
// an object of any size over a slow line. Instead a connection fails after the stall timeout without data.
func newTransport(chosen options) *http.Transport {
	transport := httpclient.NewTransport(chosen.roots)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &movingConn{connection, chosen.limits.stall}, nil
	}
	transport.Proxy = proxyOf
	transport.ForceAttemptHTTP2 = false // the stall deadline is per connection, so no two requests may share one
	transport.ExpectContinueTimeout = time.Second
	transport.MaxIdleConns = 64
	transport.MaxIdleConnsPerHost = 16
	transport.IdleConnTimeout = idleTimeout
	transport.WriteBufferSize = bufferBytes
	transport.ReadBufferSize = bufferBytes
	return transport
}

// proxyOf returns the environment's proxy, but none for link-local addresses, where clouds serve credentials.
func proxyOf(request *http.Request) (*url.URL, error) {
	if address, err := netip.ParseAddr(request.URL.Hostname()); err == nil && address.IsLinkLocalUnicast() {
		return nil, nil //nolint:nilnil // that is how net/http says "no proxy"
	}
	return http.ProxyFromEnvironment(request)
}

// movingConn is a connection with a stall timeout. Data in one direction extends the deadline of the other: a response
// follows the end of the request.
type movingConn struct {
	net.Conn
	stall time.Duration
}

// Read waits for at most the stall timeout, counted from the last data.
func (c *movingConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write does the same and extends the deadline of a Read in progress.
func (c *movingConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// unreached returns the meaning of a transport's error. That error is not wrapped: it shows the URL, which can hold a
// signature.
func unreached(service string, err error) error {
	if source, ok := errors.AsType[*sourceError](err); ok {
		return source
	}
	failed := httpclient.Classify(err)
	switch {
	case failed.Cause != nil:
		return fmt.Errorf("%s %s: %w", service, failed.Text, failed.Cause)
	case strings.HasPrefix(err.Error(), "Connection closed"): // of the S3 library
		return fmt.Errorf("%s closed the connection too early", service)
	default:
		return fmt.Errorf("%s %s", service, failed.Text)
	}
}

// maxQuoted bounds a server's text in an error, in bytes.
const maxQuoted = 300

// quoted returns a server's text for an error: one line, bounded, printable.
func quoted(text string) string { return sanitize.Line(text, maxQuoted) }
