// Package submit hands jobs to the vendor so that none of their callbacks can get lost: each is expected
// before it is submitted, and its callback carries a token that is good for it alone.
package submit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/rs/zerolog"
)

const (
	// storeTimeout bounds what is written beside a submission.
	storeTimeout = 10 * time.Second
	// nameTimeout is how long it is tried to write down which job the vendor has answered.
	nameTimeout = time.Minute
	// stopMargin is what is left of the time to stop for writing down what was called off.
	stopMargin = 2 * time.Second
	// firstPause is the time before it is looked again whether a slot is free; it doubles up to longestPause.
	firstPause   = time.Second
	longestPause = 15 * time.Second
)

// Store is where expectations are.
type Store interface {
	Prepare(ctx context.Context, token jobs.TokenHash, horizon time.Time) (jobs.Job, error)
	SetJob(ctx context.Context, id, job string, first, horizon time.Time) (jobs.Job, error)
	Forget(ctx context.Context, id string) error
	SetDetail(ctx context.Context, id, detail string) error
	Tokens
}

// Tokens is where the tokens of expectations are.
type Tokens interface {
	HasToken(ctx context.Context, token jobs.TokenHash) (bool, error)
	AcceptsToken(ctx context.Context, token jobs.TokenHash, job string, digest event.Digest) (bool, error)
	UseToken(ctx context.Context, token jobs.TokenHash, job string, digest event.Digest, first time.Time) (bool, error)
}

// Vendor takes jobs. Its errors are of deepimage.
type Vendor interface {
	Submit(ctx context.Context, request []byte) (job string, err error)
}

// Deps is what a submitter works with.
type Deps struct {
	Store  Store
	Vendor Vendor
	// Webhook is the address to which the token of a callback is appended.
	Webhook string
	// After and Horizon are how long after its submission a job is asked about first, and last.
	After, Horizon time.Duration
	Log            zerolog.Logger
}

// Submitter submits jobs. It is safe for use by many goroutines.
type Submitter struct {
	Deps

	metrics
	mutex   sync.Mutex // guards stopped against under
	stopped bool
	under   sync.WaitGroup // submissions under way
	ending  chan struct{}  // closed when nobody may wait for a slot any more
	sending context.Context
	callOff context.CancelFunc // ends sending, and with it what is with the vendor
	looks   chan struct{}      // holds one for each token that is looked up
}

// New makes a submitter.
func New(deps Deps) *Submitter {
	s := &Submitter{Deps: deps, metrics: newMetrics(), ending: make(chan struct{}), looks: make(chan struct{}, maxLooks)}
	s.sending, s.callOff = context.WithCancel(context.Background())
	return s
}

// Submit hands a request to the vendor, with our webhook in it, and gives the expectation of its job. When all slots of the
// vendor's plan are taken it tries again for as long as wait. The error is a *deepimage.Error, an
// *UnstoredError, or one of the store, after which nothing was sent.
//
// After an error of deepimage.KindOutcome, and after an *UnstoredError, the job may exist; it is never sent twice. The
// expectation stays then, and the callback, if it comes, names the job.
func (s *Submitter) Submit(ctx context.Context, request []byte, wait time.Duration) (jobs.Job, error) {
	if !s.begin() {
		return jobs.Job{}, &deepimage.Error{Kind: deepimage.KindCancelled, Text: "the receiver stops; the request was not sent"}
	}
	defer s.under.Done()
	token := newToken()
	request, err := deepimage.WithWebhook(request, s.Webhook+token)
	if err != nil {
		return jobs.Job{}, err
	}
	expected, err := s.prepare(ctx, token)
	if err != nil {
		return jobs.Job{}, err
	}
	started := time.Now()
	job, err := s.hand(ctx, request, started.Add(wait))
	// From here on everything is written down, whether or not the one who asked still listens.
	if err != nil {
		s.failed(context.WithoutCancel(ctx), expected, err)
		return expected, err
	}
	s.outcomes.WithLabelValues("submitted").Inc()
	named, err := s.name(expected.ID, job)
	if err != nil {
		s.Log.Error().Err(err).Str("job", job).Str("expectation", expected.ID).Msg("job is submitted, and that could not be stored; its callback will name it")
		return expected, &UnstoredError{Job: job, Err: err}
	}
	s.Log.Info().Str("job", job).Str("expectation", named.ID).Int("bytes", len(request)).
		Float64("duration_s", time.Since(started).Seconds()).Msg("job is submitted")
	return named, nil
}

func (s *Submitter) prepare(ctx context.Context, token string) (jobs.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	expected, err := s.Store.Prepare(ctx, hashOf(token), time.Now().Add(s.Horizon))
	if err != nil {
		return jobs.Job{}, fmt.Errorf("submit: %w", err)
	}
	return expected, nil
}

// name writes down which job it is. A store that is away for a moment is waited for: only its callback could name it instead.
func (s *Submitter) name(id, job string) (named jobs.Job, err error) {
	ctx, cancel := context.WithTimeout(s.sending, nameTimeout)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		now := time.Now()
		named, err = s.Store.SetJob(ctx, id, job, now.Add(s.After), now.Add(s.Horizon))
		if err == nil || !s.rest(ctx, pause, now.Add(nameTimeout)) {
			return named, err
		}
	}
}

// hand gives the request to the vendor, again only when the vendor has said that all slots are taken. Once it is on its
// way, nobody but Stop calls it off: what would come of that is not known.
func (s *Submitter) hand(ctx context.Context, request []byte, until time.Time) (job string, err error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		job, err = s.Vendor.Submit(s.sending, request)
		if deepimage.KindOf(err) != deepimage.KindSlots {
			return job, err
		}
		if !s.rest(ctx, max(pause, deepimage.AfterOf(err)), until) {
			return "", err
		}
	}
}

// rest waits for the next look, or says false because it would come too late or nobody waits for it.
func (s *Submitter) rest(ctx context.Context, pause time.Duration, until time.Time) bool {
	if time.Now().Add(pause).After(until) {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.ending:
		return false
	}
}

// failed keeps the expectation if the job may exist, and only then.
func (s *Submitter) failed(ctx context.Context, expected jobs.Job, cause error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	kind := deepimage.KindOf(cause)
	s.outcomes.WithLabelValues(string(kind)).Inc()
	line := s.Log.Warn().Err(cause).Str("kind", string(kind)).Str("expectation", expected.ID)
	if kind != deepimage.KindOutcome {
		line.AnErr("store", s.Store.Forget(ctx, expected.ID)).Msg("job was not submitted")
		return
	}
	const detail = "Whether Deep Image has taken the job is not known. It is not sent again; its callback, if it comes, names it."
	line.AnErr("store", s.Store.SetDetail(ctx, expected.ID, detail)).Msg("job may be submitted")
}

func (s *Submitter) begin() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.stopped {
		return false
	}
	s.under.Add(1)
	return true
}

// Stop refuses new submissions and waits for those under way. Shortly before ctx ends they are called off, so that what is known
// of them can still be written down.
func (s *Submitter) Stop(ctx context.Context) error {
	s.mutex.Lock()
	if !s.stopped {
		s.stopped = true
		close(s.ending)
	}
	s.mutex.Unlock()
	if deadline, ok := ctx.Deadline(); ok {
		margin := min(stopMargin, time.Until(deadline)/4)
		defer time.AfterFunc(time.Until(deadline)-margin, s.callOff).Stop()
	}
	done := make(chan struct{})
	go func() {
		s.under.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.callOff()
		return nil
	case <-ctx.Done():
		s.callOff()
		return fmt.Errorf("submit: stop: %w", ctx.Err())
	}
}

// UnstoredError says that the vendor has taken a job, and that it could not be stored which one. Its callback will say it.
type UnstoredError struct {
	Job string
	Err error
}

// Error tells the job.
func (e *UnstoredError) Error() string {
	return "submit: job " + e.Job + " is not stored: " + e.Err.Error()
}

// Unwrap gives what the store said.
func (e *UnstoredError) Unwrap() error { return e.Err }
