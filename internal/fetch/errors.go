package fetch

import (
	"fmt"
	"time"
)

// Kind is the class of a failure.
type Kind string

// Every kind of failure.
const (
	KindInvalidURL     Kind = "invalid_url"      // not an absolute http or https URL with a host, or with credentials in it
	KindBlockedAddress Kind = "blocked_address"  // resolves to an address that is not dialled
	KindHostNotAllowed Kind = "host_not_allowed" // host, or plain http, is not allowed
	KindRedirects      Kind = "redirects"        // too many of them, or one that leads nowhere
	KindTooLarge       Kind = "too_large"        // more bytes than asked for
	KindTruncated      Kind = "truncated"        // fewer bytes than announced, none, or a part nobody asked for
	KindTimeout        Kind = "timeout"          // a deadline passed or the transfer stalled
	KindStatus         Kind = "status"           // the server answered with an error
	KindEncoding       Kind = "encoding"         // the body came compressed though nobody asked for it
	KindUnreachable    Kind = "unreachable"      // DNS, connect or TLS failed
	KindNetwork        Kind = "network"          // the connection broke, or the server does not speak HTTP
	KindWrite          Kind = "write"            // w failed
	KindCancelled      Kind = "cancelled"        // the caller gave up
)

// Error is a failed Get. Its text is a sentence for a person; URLs in it have
// neither credentials nor query, and a server's own words are not repeated beyond
// a host and a path.
type Error struct {
	Kind       Kind
	Status     int           // of the answer, for KindStatus
	RetryAfter time.Duration // what the server asked for, for KindStatus; 0 if nothing, a day at most
	Text       string
	Err        error // of the context, the system or w; nil if the text says all

	broken bool // the connection gave out: another one may continue the transfer
}

// Error gives the sentence.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func failf(kind Kind, format string, values ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, values...)}
}

// wrapf is failf with a cause that may be shown, or nil.
func wrapf(kind Kind, cause error, format string, values ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, values...), Err: cause}
}

// brokenf is wrapf for a connection that gave out.
func brokenf(kind Kind, cause error, format string, values ...any) *Error {
	failure := wrapf(kind, cause, format, values...)
	failure.broken = true
	return failure
}
