package deepimage

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"golang.org/x/time/rate"
)

const (
	// failureThreshold is the number of consecutive failures before a pause.
	failureThreshold = 5
	// firstPause is the pause after an outage, and after a 429 without Retry-After. It doubles up to longestPause.
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// keyPause is the pause after the API refused the key.
	keyPause = 10 * time.Second
	// maxLimitPause bounds the pause that a 429 can ask of all calls.
	maxLimitPause = 15 * time.Minute
	// maxWait bounds the wait for a slot, and again the wait for the rate limit.
	maxWait = 10 * time.Second
)

// throttle bounds the calls of one kind: their concurrency, their rate, and pauses after failures.
type throttle struct {
	slots chan struct{}
	rate  *rate.Limiter
	pause pause
}

func newThrottle(concurrency int, calls *rate.Limiter) *throttle {
	return &throttle{slots: make(chan struct{}, concurrency), rate: calls}
}

// newRateLimiter returns the rate limit that all calls of a client share. Its burst is one second.
func newRateLimiter(config Config) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(config.CallsPerSecond), max(1, int(math.Ceil(config.CallsPerSecond))))
}

// do makes a call within the limits and records its outcome.
func (t *throttle) do(ctx context.Context, call func() *Error) *Error {
	if _, failed := t.pause.begin(now()); failed != nil {
		return failed
	}
	if failed := t.acquireSlot(ctx); failed != nil {
		return failed
	}
	defer func() { <-t.slots }()
	if failed := t.waitForRate(ctx); failed != nil {
		return failed
	}
	generation, failed := t.pause.begin(now()) // a pause may have begun during the wait
	if failed != nil {
		return failed
	}
	failed = call()
	t.pause.record(generation, failed, now())
	return failed
}

func (t *throttle) acquireSlot(ctx context.Context) *Error {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return limitedLocally(maxWait)
	case <-ctx.Done():
		return cancelled(ctx)
	}
}

func (t *throttle) waitForRate(ctx context.Context) *Error {
	reservation := t.rate.Reserve()
	delay := reservation.Delay()
	if delay > maxWait {
		reservation.Cancel()
		return limitedLocally(delay)
	}
	if background.Sleep(ctx, delay) != nil {
		reservation.Cancel()
		return cancelled(ctx)
	}
	return nil
}

func limitedLocally(after time.Duration) *Error {
	failed := failf(KindLimited, "too many Deep Image calls are queued (CALLS_PER_SECOND, CONCURRENCY); this call was not sent")
	failed.After = after
	return failed
}

// pause is a period without calls. Calls fail at once then, with the error that caused the pause.
type pause struct {
	mutex      sync.Mutex
	generation int // number of pauses so far; a call that began before a pause does not count after it
	failures   int // consecutive
	until      time.Time
	cause      *Error
}

// begin returns the generation for record, or the error during a pause.
func (p *pause) begin(now time.Time) (generation int, failed *Error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.generation, p.check(now)
}

// isUnderWay reports whether there is a pause now.
func (p *pause) isUnderWay() bool {
	_, failed := p.begin(now())
	return failed != nil
}

func (p *pause) check(now time.Time) *Error {
	left := p.until.Sub(now)
	if left <= 0 {
		return nil
	}
	failed := *p.cause
	if failed.Kind == KindOutcome { // the outcome of another request; this one is not sent
		failed = *failf(KindUnavailable, "the Deep Image API failed several times and is not called for a moment; the request was not sent")
	}
	failed.After = left
	return &failed
}

// record counts the outcome of a call and begins a pause if needed.
func (p *pause) record(generation int, failed *Error, now time.Time) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if generation != p.generation {
		return
	}
	if failed == nil {
		p.failures = 0
		return
	}
	switch failed.Kind {
	case KindUnavailable, KindLimited, KindKey, KindOutcome:
		p.failures++
	case KindCancelled, KindJob: // inconclusive about the API
		return
	default: // an answer about one request
		p.failures = 0
		return
	}
	if length := p.length(failed); length > 0 {
		p.until, p.cause = now.Add(length), failed
		p.generation++
	}
}

// length returns the length of the pause after the last failure, 0 for none.
func (p *pause) length(failed *Error) time.Duration {
	switch {
	case failed.Kind == KindKey:
		return keyPause
	case failed.Kind == KindLimited && failed.After > 0:
		return min(failed.After, maxLimitPause)
	case failed.Kind == KindLimited:
		return background.Backoff(firstPause, longestPause, p.failures-1)
	case p.failures < failureThreshold:
		return 0
	default:
		return background.Backoff(firstPause, longestPause, p.failures-failureThreshold)
	}
}
