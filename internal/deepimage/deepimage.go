// Package deepimage is a client of the Deep Image API: it looks up, submits and deletes jobs. It sends the key to one
// host only, and never puts it into an error, a log or a text.
//
// Comments mark what is known of the API: documented by the vendor, seen in the code of its clients, or inferred.
package deepimage

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"golang.org/x/sync/singleflight"
)

// Client calls the API. It is safe for concurrent use.
type Client struct {
	config    Config
	base      *url.URL
	key       secret.Value
	userAgent string
	transport *http.Transport

	inFlight *inFlight
	shared   singleflight.Group // lookups under way
	cache    *cache
	sources  sourceLimit
	keyState keyState

	lookups, deletions, submissions *throttle
}

// Option changes a client.
type Option func(*options)

type options struct{ roots *x509.CertPool }

// WithRootCAs replaces the system's certificate authorities.
func WithRootCAs(roots *x509.CertPool) Option {
	return func(o *options) { o.roots = roots }
}

// New returns a client. Zero fields of config get their defaults. It returns an error without a key, and the errors of
// Config.Validate. It connects to nothing yet.
func New(config Config, choices ...Option) (*Client, error) {
	if !config.Enabled() {
		return nil, errors.New("the Deep Image API needs a key")
	}
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	base, err := parseBase(config.URL)
	if err != nil {
		return nil, err
	}
	var chosen options
	for _, choose := range choices {
		choose(&chosen)
	}
	calls := newRateLimiter(config)
	return &Client{
		config: config, base: base, key: config.APIKey, userAgent: httpclient.UserAgent(),
		transport:   newTransport(config, chosen),
		inFlight:    newInFlight(),
		cache:       newCache(config),
		sources:     newSourceLimit(config.UnknownPerMinute),
		lookups:     newThrottle(config.Concurrency, calls),
		deletions:   newThrottle(config.Concurrency, calls),
		submissions: newThrottle(config.Concurrency, calls),
	}, nil
}

// Host returns the host of the API, with its port if the configuration has one.
func (c *Client) Host() string { return c.base.Host }

// Paused returns for each kind of call whether it pauses after failures.
func (c *Client) Paused() map[string]bool {
	return map[string]bool{
		"lookup": c.lookups.pause.isUnderWay(), "deletion": c.deletions.pause.isUnderWay(), "submission": c.submissions.pause.isUnderWay(),
	}
}

// Format prints only the host, for every verb.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "deepimage.Client of "+c.base.Host)
}

// Check returns an error unless the API answers and accepts the key. It looks up a job that cannot exist, because the
// API's own account page repeats the key.
func (c *Client) Check(ctx context.Context) error {
	const noJob = "00000000-0000-1000-8000-000000000000"
	_, err := c.Result(ctx, noJob, Fresh())
	return err
}

// Close cancels the calls under way and waits for them. Later calls fail.
func (c *Client) Close() error {
	c.inFlight.close()
	c.transport.CloseIdleConnections()
	return nil
}

// now returns the time with its monotonic reading.
func now() time.Time { return time.Now().UTC() }

// State is the state of a job.
type State string

// The states. Only Pending and Unknown are not final.
const (
	// Complete: the image is ready at JobStatus.ResultURL.
	Complete State = "complete"
	// Failed: the vendor could not make the image; JobStatus.Message may say why.
	Failed State = "failed"
	// Deleted: the job was complete, and the vendor has deleted its images.
	Deleted State = "deleted"
	// Unknown: the account of the key has no such job, or not yet: the API may answer so for seconds after the callback.
	Unknown State = "unknown"
	// Pending: the job is not ready, or complete without a URL; ask again. Every status that is not documented counts as Pending.
	Pending State = "pending"
)

// JobStatus is what the API reports about a job.
type JobStatus struct {
	Job       string
	State     State
	ResultURL string    // of a Complete job, never empty; mostly https, but any scheme, such as storage:
	Message   string    // the vendor's reason for a Failed job, sanitized; may be ""
	Status    string    // the vendor's own status of a Pending job, such as in_progress, sanitized
	Asked     time.Time // when the API was asked; earlier than the call for a cached status
}

// IsFinal reports whether the state cannot change any more. A Complete job can still get a new URL.
func (s JobStatus) IsFinal() bool { return s.State != Pending && s.State != Unknown }

// inFlight counts the calls under way. They do not end with the caller that began them, only with the client.
type inFlight struct {
	ctx    context.Context // of every call
	cancel context.CancelFunc

	mutex  sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

func newInFlight() *inFlight {
	ctx, cancel := context.WithCancel(context.Background())
	return &inFlight{ctx: ctx, cancel: cancel}
}

// begin counts a call and returns true, or false after close. The caller calls calls.Done at the end.
func (f *inFlight) begin() bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		return false
	}
	f.calls.Add(1)
	return true
}

// close cancels all calls and waits for their end.
func (f *inFlight) close() {
	f.mutex.Lock()
	f.closed = true
	f.mutex.Unlock()
	f.cancel()
	f.calls.Wait()
}
