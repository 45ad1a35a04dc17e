// Package deepimage asks the API of Deep Image what became of a job, submits jobs and deletes
// their images. Its key goes to one host only, and never into an error, a log or a text.
//
// What is known of the API is marked where it is used: documented by the vendor, seen in the
// code of its clients, or inferred.
package deepimage

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"golang.org/x/sync/singleflight"
)

// Client talks to the API. It is safe for use by many goroutines. New makes it.
type Client struct {
	config    Config
	base      *url.URL
	key       secret.Value
	userAgent string
	transport *http.Transport

	life    *life
	flights singleflight.Group // look-ups under way
	cache   *cache
	quota   *quota
	pace    *pace // of look-ups
	deletes *pace
	submits *pace
}

// Option changes what a client is made of.
type Option func(*options)

type options struct{ roots *x509.CertPool }

// WithRootCAs replaces the system's certificate authorities.
func WithRootCAs(roots *x509.CertPool) Option {
	return func(o *options) { o.roots = roots }
}

// New makes a client that keeps to config; where a number is zero, its default counts. It fails,
// with a sentence, without a key and on what Config.Validate refuses. It asks nobody yet.
func New(config Config, choices ...Option) (*Client, error) {
	if !config.Enabled() {
		return nil, errors.New("the Deep Image API needs a key")
	}
	config = config.withDefaults()
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
	calls := newCallRate(config)
	return &Client{
		config: config, base: base, key: config.APIKey, userAgent: httpclient.UserAgent(),
		transport: newTransport(config, chosen),
		life:      newLife(),
		cache:     newCache(config),
		quota:     newQuota(config.UnknownPerMinute),
		pace:      newPace(config.Concurrency, calls),
		deletes:   newPace(config.Concurrency, calls),
		submits:   newPace(config.Concurrency, calls),
	}, nil
}

// Host is the host that is asked, with its port if the configuration names one.
func (c *Client) Host() string { return c.base.Host }

// Format prints the client without what it holds, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "deepimage.Client of "+c.base.Host)
}

// Check finds out whether the API answers and takes the key. It asks for a job that cannot
// exist, since the API's own account page repeats the key.
func (c *Client) Check(ctx context.Context) error {
	const nobody = "00000000-0000-1000-8000-000000000000"
	_, err := c.Result(ctx, nobody, Fresh())
	return err
}

// Close ends what is under way and waits for it. Every later call fails.
func (c *Client) Close() error {
	c.life.end()
	c.transport.CloseIdleConnections()
	return nil
}

// now is the time, with the monotonic reading that ages are taken from.
func now() time.Time { return time.Now().UTC() }
