package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// Kind is the class of an error.
type Kind string

// The kinds.
const (
	KindInvalidURL     Kind = "invalid_url"      // not an absolute http or https URL with a host, or with credentials
	KindBlockedAddress Kind = "blocked_address"  // resolves to an address that the guard refuses
	KindHostNotAllowed Kind = "host_not_allowed" // the host, or plain http, is not allowed
	KindRedirects      Kind = "redirects"        // too many redirects, or one without a usable Location
	KindTooLarge       Kind = "too_large"        // more bytes than allowed
	KindTruncated      Kind = "truncated"        // fewer bytes than announced, none, or a part that was not requested
	KindTimeout        Kind = "timeout"          // a deadline passed, the transfer stalled or was too slow
	KindStatus         Kind = "status"           // the status is an error
	KindEncoding       Kind = "encoding"         // the rest of a file is compressed, though its beginning was not
	KindUnreachable    Kind = "unreachable"      // DNS, connect or TLS failed
	KindProxy          Kind = "proxy"            // the proxy is not reachable or refuses
	KindNetwork        Kind = "network"          // the connection broke, or the server does not speak HTTP
	KindWrite          Kind = "write"            // w failed
	KindBusy           Kind = "busy"             // slow hosts hold their share of the transfers
	KindCancelled      Kind = "cancelled"        // by the caller
)

// Error is the error of Get. Its text is a sentence for a person. URLs in it have neither credentials nor query, and of a
// server's own text it has at most a host and a path.
type Error struct {
	Kind       Kind
	Status     int           // of the response, for KindStatus
	RetryAfter time.Duration // from the response, for KindStatus; 0 without one, at most a day
	Body       []byte        // the beginning of the response's body, for KindStatus; may hold secrets
	Text       string
	Host       string // that is not allowed, for KindHostNotAllowed
	Err        error  // of the context, the system or w; may be nil

	broken bool // the connection broke: a new one may continue the transfer
	http2  bool // HTTP/2 itself failed
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func failf(kind Kind, format string, values ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, values...)}
}

// wrapf is failf with a cause that is safe to show, or nil.
func wrapf(kind Kind, cause error, format string, values ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, values...), Err: cause}
}

// brokenf is wrapf for a broken connection.
func brokenf(kind Kind, cause error, format string, values ...any) *Error {
	failed := wrapf(kind, cause, format, values...)
	failed.broken = true
	return failed
}

// failure returns the meaning of a transport's error. That error is not wrapped: it can quote what the server sent, and
// so our query. The cause of ctx, which is that of the attempt, distinguishes a stall from the caller's end.
func (c *Client) failure(ctx context.Context, target *url.URL, err error) *Error {
	host := target.Hostname()
	if ctx.Err() != nil {
		return interruption(ctx, host)
	}
	if blocked, ok := errors.AsType[*blockedError](err); ok {
		return failf(KindBlockedAddress, "the host %s resolves to the address %s, which is not public", host, blocked.addr)
	}
	if c.proxy != "" {
		if failed := proxyFailure(c.proxy, host, err); failed != nil {
			return failed
		}
	}
	failed := httpclient.Classify(err)
	kind := KindNetwork
	switch {
	case failed.Class == httpclient.ClassTimeout:
		kind = KindTimeout
	case failed.IsUnreachable():
		kind = KindUnreachable
	}
	hint := ""
	if c.unused != "" && isNoConnection(failed, err) {
		hint = fmt.Sprintf("; %s is set, but results are fetched through the proxy of RECEIVER_FETCH_PROXY_URL only", c.unused)
	}
	broken := brokenf(kind, failed.Cause, "the host %s %s%s", host, failed.Text, hint)
	broken.http2 = httpclient.IsHTTP2Failure(err)
	return broken
}

// isNoConnection reports whether the name could not be resolved or no address could be connected to.
func isNoConnection(failed httpclient.Failure, err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	return failed.Class == httpclient.ClassDNS || failed.Class == httpclient.ClassConnect || ok && operation.Op == "dial"
}

// interruption returns why the context of an attempt ended.
func interruption(ctx context.Context, host string) *Error {
	switch {
	case errors.Is(context.Cause(ctx), errYielded):
		return busy(host)
	case errors.Is(context.Cause(ctx), errStalled):
		return brokenf(KindTimeout, errStalled, "the host %s stopped sending", host)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return wrapf(KindTimeout, ctx.Err(), "the deadline passed during the transfer from the host %s", host)
	default:
		return wrapf(KindCancelled, ctx.Err(), "the transfer from the host %s was cancelled", host)
	}
}
