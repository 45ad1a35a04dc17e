package deepimage

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

const (
	MaxResponseBytes = maxResponseBytes
	MaxMessage       = maxMessage
	FailureThreshold = failureThreshold
	FirstPause       = firstPause
	LongestPause     = longestPause
	KeyPause         = keyPause
	MaxLimitPause    = maxLimitPause
)

func (c Config) WithDefaults() (Config, error) { return c.withDefaults() }

// ParseResult, ParseSubmission and ParseDeletion read a response that no server sent.
func (c *Client) ParseResult(status int, header http.Header, body []byte, job string) (JobStatus, *Error) {
	return c.parseResult(newResponse(status, header, body), job)
}

func (c *Client) ParseSubmission(status int, header http.Header, body []byte) (string, *Error) {
	return c.parseSubmission(newResponse(status, header, body))
}

func (c *Client) ParseDeletion(status int, header http.Header, body []byte, job string) *Error {
	return c.parseDeletion(newResponse(status, header, body), job)
}

func newResponse(status int, header http.Header, body []byte) response {
	return response{status: status, header: header, body: body[:min(len(body), maxResponseBytes)], oversized: len(body) > maxResponseBytes}
}

func (c *Client) Sanitize(text string, limit int) string { return c.sanitize(text, limit) }

// Pause is the pause of a throttle.
type Pause struct{ pause pause }

func (p *Pause) Begin(now time.Time) (generation int, failed *Error) { return p.pause.begin(now) }

func (p *Pause) Record(generation int, failed *Error, now time.Time) {
	p.pause.record(generation, failed, now)
}

// Throttle limits calls.
type Throttle struct{ throttle *throttle }

func NewThrottle(concurrency int, perSecond float64) Throttle {
	return Throttle{newThrottle(concurrency, rate.NewLimiter(rate.Limit(perSecond), 1))}
}

func (t Throttle) Do(ctx context.Context, call func() *Error) *Error { return t.throttle.do(ctx, call) }

// SourceLimit limits the lookups of a source.
type SourceLimit struct{ limit sourceLimit }

func NewSourceLimit(perMinute int) SourceLimit { return SourceLimit{newSourceLimit(perMinute)} }

func (l SourceLimit) Check(source netip.Addr, now time.Time) *Error {
	return l.limit.check(source, now)
}

func (l SourceLimit) Charge(source netip.Addr, now time.Time) { l.limit.charge(source, now) }

// Cache holds job statuses.
type Cache struct{ cache *cache }

func NewCache(config Config) Cache { return Cache{newCache(config)} }

func (c Cache) Get(job string, now time.Time) (JobStatus, bool) { return c.cache.get(job, now) }

func (c Cache) Put(status JobStatus) { c.cache.put(status) }
