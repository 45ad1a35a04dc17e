package blobstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	dialTimeout      = 10 * time.Second // DNS and connecting
	handshakeTimeout = 10 * time.Second // TLS
	idleTimeout      = 30 * time.Second // of a connection between two requests; less than a stall
	identityTimeout  = 10 * time.Second // one request for credentials

	maxHeaderBytes = 64 << 10
	bufferBytes    = 64 << 10
)

// newTransport makes a way to a service that the operator named. A request has no
// deadline of its own, because it may carry an object of any size over a slow line;
// instead a connection that moves nothing for too long is given up.
func newTransport(chosen options) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		Proxy: proxyOf,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &movingConn{connection, chosen.limits.stall}, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: chosen.roots},
		TLSHandshakeTimeout:    handshakeTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // what is stored is to be read as it was
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        idleTimeout,
		WriteBufferSize:        bufferBytes,
		ReadBufferSize:         bufferBytes,
	}
}

// proxyOf is the environment's proxy, but not for addresses of this link, where
// clouds tell a machine its credentials.
func proxyOf(request *http.Request) (*url.URL, error) {
	if address, err := netip.ParseAddr(request.URL.Hostname()); err == nil && address.IsLinkLocalUnicast() {
		return nil, nil //nolint:nilnil // that is how net/http says "no proxy"
	}
	return http.ProxyFromEnvironment(request)
}

// movingConn is a connection that has to move. What moves in one direction lets
// the other one wait: an answer comes when everything is sent.
type movingConn struct {
	net.Conn
	stall time.Duration
}

// Read waits for at most the time of a stall, counted from the last movement.
func (c *movingConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write does the same, and lets a Read that is under way wait for longer.
func (c *movingConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// unreached puts what the transport said about a service into our words. Its own
// error goes no further: it shows the URL, in which a signature can be.
func unreached(service string, err error) error {
	if source, ok := errors.AsType[*sourceError](err); ok {
		return source
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return fmt.Errorf("%s cannot be reached: %w", service, number)
	}
	return fmt.Errorf("%s %s", service, complaint(err))
}

func complaint(err error) string {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return "cannot be reached: the host " + lookup.Name + " is not found"
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "did not answer in time"
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "has a certificate that is not trusted: " + certificate.Err.Error()
	}
	// One of the libraries says it in its own words.
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), "Connection closed") {
		return "closed the connection too early"
	}
	return "does not speak HTTP, or TLS, as it should"
}

const maxSaidBytes = 300

// said makes a server's text fit for one line of a log: bounded, printable.
func said(text string) string {
	cleaned := make([]rune, 0, min(len(text), maxSaidBytes))
	for _, r := range text {
		if len(cleaned) == maxSaidBytes {
			break
		}
		if r < ' ' || r == '\x7f' || r > 0x7e {
			r = ' '
		}
		cleaned = append(cleaned, r)
	}
	return string(cleaned)
}
