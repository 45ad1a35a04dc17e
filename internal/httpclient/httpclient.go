// Package httpclient holds what the HTTP clients of the receiver have in common: a transport with bounds,
// the class and the text of a network error, Retry-After, bounded bodies and the User-Agent.
package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
)

// ProbeHeader marks a request of the preflight check, which a receiver answers with the client IP that it sees.
const ProbeHeader = "Receiver-Probe"

// Bounds of every connection.
const (
	DialTimeout      = 10 * time.Second // DNS and TCP, all addresses of a host together
	HandshakeTimeout = 10 * time.Second // TLS
	MaxHeaderBytes   = 64 << 10         // of a response's header section

	// MaxRetryAfter bounds what a server can ask for with Retry-After.
	MaxRetryAfter = 24 * time.Hour
)

// NewTransport returns a transport with the bounds above. It uses no proxy and does not decompress bodies.
// Nil roots stand for the certificate authorities of the system. The caller may change any field before first use.
func NewTransport(roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: DialTimeout}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    HandshakeTimeout,
		MaxResponseHeaderBytes: MaxHeaderBytes,
		DisableCompression:     true, // a small body cannot become a large one
		ForceAttemptHTTP2:      true,
		IdleConnTimeout:        time.Minute,
	}
}

// UserAgent returns the product name and the version of the build, such as "deepimage-receiver/1.2.3".
func UserAgent() string { return "deepimage-receiver/" + telemetry.CurrentBuild().Version }

// RetryAfter parses the Retry-After header: seconds or an HTTP date. It returns 0 for anything else and for
// a time before now, and at most MaxRetryAfter.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

// ReadAtMost reads body to its end, but not more than limit bytes. Truncated reports whether there were more.
// On an error it returns what was read before.
func ReadAtMost(body io.Reader, limit int) (read []byte, truncated bool, err error) {
	read, err = io.ReadAll(io.LimitReader(body, int64(limit)+1))
	return read[:min(len(read), limit)], len(read) > limit, err
}
