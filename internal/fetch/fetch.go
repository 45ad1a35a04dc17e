// Package fetch gets the file behind a URL that a stranger gave us, safely: the
// guard decides in the dialer, after DNS, on the very address that is dialled.
package fetch

import (
	"context"
	"io"
	"time"

	"github.com/deepimage-receiver/receiver/internal/setting"
)

// Config says what may be fetched.
type Config struct {
	AllowedHosts setting.List     `envconfig:"ALLOWED_HOSTS" default:"deep-image.ai,*.deep-image.ai,neuroapi-store.s3.eu-central-1.amazonaws.com" desc:"hosts that results may be fetched from; *.example.com for every host below a domain, * for any public host"`
	AllowedCIDRs setting.Prefixes `envconfig:"ALLOWED_CIDRS" desc:"private networks that may be dialled all the same"`
	AllowHTTP    bool             `envconfig:"ALLOW_HTTP" default:"false" desc:"fetch results over plain http too"`
}

// Request is one file to get.
type Request struct {
	URL      string
	MaxBytes int64 // more is an error of kind TooLarge
}

// File is what was got.
type File struct {
	Bytes       int64
	ContentType string // as the server says, "" if it does not
	Host        string // that answered in the end, after redirects
	Resumed     int    // how often a broken transfer was continued
}

// Client gets files. It is safe for use by many goroutines.
type Client struct{}

// New makes a client that keeps to config.
func New(config Config) (*Client, error) { return &Client{}, nil }

// Get streams the file into w, once and in order, and returns when it is
// complete. A broken transfer is continued by range where the server gave a
// strong validator. On any error what was written to w is worthless.
func (c *Client) Get(ctx context.Context, request Request, w io.Writer) (File, error) {
	return File{}, nil
}

// Close drops idle connections.
func (c *Client) Close() error { return nil }

// Kind is the class of a failure.
type Kind string

// Every kind of failure.
const (
	KindInvalidURL     Kind = "invalid_url"      // not an absolute http or https URL with a host, or with credentials in it
	KindBlockedAddress Kind = "blocked_address"  // resolves to an address that is not dialled
	KindHostNotAllowed Kind = "host_not_allowed" // host, or plain http, is not allowed
	KindRedirects      Kind = "redirects"        // too many of them
	KindTooLarge       Kind = "too_large"        // more bytes than asked for
	KindTruncated      Kind = "truncated"        // fewer bytes than announced, none, or a part nobody asked for
	KindTimeout        Kind = "timeout"          // a deadline passed or the transfer stalled
	KindStatus         Kind = "status"           // the server answered with an error
	KindEncoding       Kind = "encoding"         // the body came compressed though nobody asked for it
	KindNetwork        Kind = "network"          // no connection, or it broke
	KindWrite          Kind = "write"            // w failed
	KindCancelled      Kind = "cancelled"        // the caller gave up
)

// Error is a failed Get. Its text is a sentence for a person; URLs in it have
// neither credentials nor query.
type Error struct {
	Kind       Kind
	Status     int           // of the answer, for KindStatus
	RetryAfter time.Duration // what the server asked for, 0 if nothing
	Text       string
	Err        error
}

// Error gives the sentence.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
