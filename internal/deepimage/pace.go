package deepimage

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// patience is how many calls in a row must go wrong before a pause.
	patience = 5
	// firstPause is the pause after an outage, and after a 429 that does not say how long; it
	// doubles with every one that follows.
	firstPause = time.Second
	// longestPause bounds that doubling.
	longestPause = 30 * time.Second
	// keyPause is the pause after the key was refused. A person mends that, so nothing is lost.
	keyPause = 10 * time.Second
	// maxLimitPause bounds what a 429 may ask of the whole client; one job may be told to wait longer.
	maxLimitPause = 15 * time.Minute
)

// pace bounds the calls of one sort: how many at the same time, how many in a second, and
// none for a while when the API wants or seems to want to be left alone.
type pace struct {
	slots chan struct{}
	rate  *rate.Limiter
	pause pause
}

func newPace(concurrency int, calls *rate.Limiter) *pace {
	return &pace{slots: make(chan struct{}, concurrency), rate: calls}
}

// newCallRate is the rate that all calls of a client share. Nobody saves up more than a second of it.
func newCallRate(config Config) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(config.CallsPerSecond), max(1, int(math.Ceil(config.CallsPerSecond))))
}

// do makes one call in its turn and learns from its failure.
func (p *pace) do(ctx context.Context, call func() *Error) *Error {
	if refusal := p.pause.refusal(now()); refusal != nil {
		return refusal
	}
	if failed := p.enter(ctx); failed != nil {
		return failed
	}
	defer func() { <-p.slots }()
	if failed := p.turn(ctx); failed != nil {
		return failed
	}
	round, refusal := p.pause.begin(now()) // it may have come while we waited
	if refusal != nil {
		return refusal
	}
	failed := call()
	p.pause.learn(round, failed, now())
	return failed
}

// enter takes a slot.
func (p *pace) enter(ctx context.Context) *Error {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return tooMany(maxWait)
	case <-ctx.Done():
		return gaveUp(ctx)
	}
}

// turn waits until the rate allows one more call.
func (p *pace) turn(ctx context.Context) *Error {
	turn := p.rate.Reserve()
	delay := turn.Delay()
	if delay > maxWait {
		turn.Cancel()
		return tooMany(delay)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		turn.Cancel()
		return gaveUp(ctx)
	}
}

func tooMany(after time.Duration) *Error {
	failed := failf(KindLimited, "more calls of the Deep Image API wait than are made in a second; this one was not made yet")
	failed.After = after
	return failed
}

// pause is the time in which no call is made; the last failure is answered in its stead.
type pause struct {
	mutex    sync.Mutex
	round    int // counts pauses: what was begun before one says nothing of what comes after it
	failures int // in a row, since the last success
	until    time.Time
	why      *Error
}

// refusal is the answer during a pause, nil at any other time.
func (p *pause) refusal(now time.Time) *Error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.refuse(now)
}

// begin is refusal for the one who is about to call.
func (p *pause) begin(now time.Time) (round int, refusal *Error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.round, p.refuse(now)
}

func (p *pause) refuse(now time.Time) *Error {
	left := p.until.Sub(now)
	if left <= 0 {
		return nil
	}
	same := *p.why
	same.After = left
	if same.Kind == KindOutcome { // that was another request's; this one is not sent
		same = *failf(KindUnavailable, "the Deep Image API does not answer as it should and is left alone for a moment; the request was not sent")
		same.After = left
	}
	return &same
}

// learn takes in how a call ended.
func (p *pause) learn(round int, failed *Error, now time.Time) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if round != p.round {
		return
	}
	if failed == nil {
		p.failures = 0
		return
	}
	switch failed.Kind {
	case KindUnavailable, KindLimited, KindKey, KindOutcome:
		p.failures++
	case KindCancelled, KindJob: // says nothing of the API
		return
	default: // an answer about one request
		p.failures = 0
		return
	}
	if length := p.length(failed); length > 0 {
		p.until, p.why = now.Add(length), failed
		p.round++
	}
}

// length is how long a pause the last failure calls for.
func (p *pause) length(failed *Error) time.Duration {
	switch {
	case failed.Kind == KindKey:
		return keyPause
	case failed.Kind == KindLimited && failed.After > 0:
		return min(failed.After, maxLimitPause)
	case failed.Kind == KindLimited:
		return doubled(p.failures - 1)
	case p.failures < patience:
		return 0
	default:
		return doubled(p.failures - patience)
	}
}

func doubled(times int) time.Duration { return min(firstPause<<min(times, 10), longestPause) }
