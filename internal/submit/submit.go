// Package submit submits jobs to the vendor. It tracks each job before it sends the request, and each callback has its
// own token, so that no callback can get lost.
package submit

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/rs/zerolog"
)

const (
	// storeTimeout bounds the other writes of a submission.
	storeTimeout = 10 * time.Second
	// jobTimeout bounds the retries to store the id of a submitted job.
	jobTimeout = time.Minute
	// stopMargin is the part of the time to stop that is left for writes after the cancellation.
	stopMargin = 2 * time.Second
	// firstPause is the pause before the first retry; it doubles up to longestPause.
	firstPause   = time.Second
	longestPause = 15 * time.Second
)

// Store holds the tracked jobs.
type Store interface { //nolint:interfacebloat // one store
	Now() time.Time // by the clock of the database
	Prepare(ctx context.Context, token jobs.TokenHash, names event.Names, horizon time.Time) (jobs.Job, error)
	SetJob(ctx context.Context, id, job string, first, horizon time.Time) (jobs.Job, error)
	Forget(ctx context.Context, id string) error
	SetDetail(ctx context.Context, id, detail string) error
	Tokens
}

// Tokens holds the tokens of tracked jobs.
type Tokens interface {
	FindToken(ctx context.Context, token jobs.TokenHash) (found, used bool, err error)
	AcceptsToken(ctx context.Context, token jobs.TokenHash, job string, digest event.Digest) (bool, error)
	UseToken(ctx context.Context, token jobs.TokenHash, job string, digest event.Digest, first time.Time) (bool, error)
}

// Vendor accepts jobs. Its errors are of package deepimage.
type Vendor interface {
	Submit(ctx context.Context, request []byte) (job string, err error)
}

// Deps are the dependencies of a Submitter.
type Deps struct {
	Store  Store
	Vendor Vendor
	// Webhook is the URL of callbacks, without the token that is appended to it.
	Webhook string
	// After and Horizon are the times from the submission to the first and to the last lookup of the job.
	After, Horizon time.Duration
	Log            zerolog.Logger
}

// Submitter submits jobs. It is safe for concurrent use.
type Submitter struct {
	Deps

	metrics
	mutex   sync.Mutex // guards stopped
	stopped bool
	calls   sync.WaitGroup // of Submit, under way

	waiting       context.Context // of pauses; ends with Stop
	stopWaiting   context.CancelFunc
	sending       context.Context // of requests and of writes after them; ends at the end of Stop
	cancelSending context.CancelFunc

	lookups chan struct{} // one value for each token lookup under way
}

// New returns a Submitter.
func New(deps Deps) *Submitter {
	s := &Submitter{Deps: deps, metrics: newMetrics(), lookups: make(chan struct{}, maxLookups)}
	s.waiting, s.stopWaiting = context.WithCancel(context.Background())
	s.sending, s.cancelSending = context.WithCancel(context.Background())
	return s
}

// Submit sends a request with our webhook in it and returns the tracked job. The webhook carries the names; the input is that of the
// request's URL, if it has one. While all slots of the vendor's plan are
// taken it retries for the time wait. The error is a *deepimage.Error, an *UnstoredError, or that of the store, after which
// nothing was sent.
//
// After an error of deepimage.KindOutcome and after an *UnstoredError the job may exist. It is not sent again, and stays
// tracked: its callback, if it comes, names the job.
func (s *Submitter) Submit(ctx context.Context, request []byte, names event.Names, wait time.Duration) (jobs.Job, error) {
	if !s.begin() {
		return jobs.Job{}, &deepimage.Error{Kind: deepimage.KindCancelled, Text: "the receiver is stopping; the request was not sent"}
	}
	defer s.calls.Done()
	token := newToken()
	fromURL := event.InputOf(request)
	request, err := deepimage.WithWebhook(request, s.Webhook+token+queryOf(names, fromURL))
	if err != nil {
		return jobs.Job{}, err
	}
	names.Input = cmp.Or(fromURL, names.Input)
	tracked, err := s.track(ctx, token, names)
	if err != nil {
		return jobs.Job{}, err
	}
	started := time.Now()
	job, err := s.send(ctx, request, started.Add(wait))
	// The outcome is stored even if the caller has left.
	if err != nil {
		s.recordFailure(context.WithoutCancel(ctx), tracked, err)
		return tracked, err
	}
	s.outcomes.WithLabelValues("submitted").Inc()
	stored, err := s.storeJob(tracked.ID, job)
	if err != nil {
		s.Log.Error().Err(err).Str("job", job).Str("tracked_job", tracked.ID).Msg("storing the id of a submitted job failed, its callback will name it")
		return tracked, &UnstoredError{Job: job, Err: err}
	}
	s.Log.Info().Str("job", job).Str("tracked_job", stored.ID).Int("bytes", len(request)).
		Fields(names.Fields()).Float64("duration_s", time.Since(started).Seconds()).Msg("job submitted")
	return stored, nil
}

// queryOf returns the query of a webhook with names, "" for none. The input is in it only if the request has no URL that names it.
func queryOf(names event.Names, fromURL string) string {
	query := url.Values{}
	if names.Reference != "" {
		query.Set(event.ReferenceParameter, names.Reference)
	}
	if names.Input != "" && fromURL == "" {
		query.Set(event.InputParameter, names.Input)
	}
	if len(query) == 0 {
		return ""
	}
	return "?" + query.Encode()
}

func (s *Submitter) track(ctx context.Context, token string, names event.Names) (jobs.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	tracked, err := s.Store.Prepare(ctx, hashOf(token), names, s.Store.Now().Add(s.Horizon))
	if err != nil {
		return jobs.Job{}, fmt.Errorf("submit: %w", err)
	}
	return tracked, nil
}

// storeJob stores the id of a submitted job. It retries for a while, because otherwise only the callback names the job.
func (s *Submitter) storeJob(id, job string) (stored jobs.Job, err error) {
	ctx, cancel := context.WithTimeout(s.sending, jobTimeout)
	defer cancel()
	until := time.Now().Add(jobTimeout)
	for failures := 0; ; failures++ {
		now := s.Store.Now()
		stored, err = s.Store.SetJob(ctx, id, job, now.Add(s.After), now.Add(s.Horizon))
		if err == nil || !s.sleep(ctx, background.Backoff(firstPause, longestPause, failures), until) {
			return stored, err
		}
	}
}

// send sends the request, and retries only while all slots of the plan are taken. The caller's context does not cancel
// a request, because its outcome would be unknown; Stop does.
func (s *Submitter) send(ctx context.Context, request []byte, until time.Time) (job string, err error) {
	for failures := 0; ; failures++ {
		job, err = s.Vendor.Submit(s.sending, request)
		if deepimage.KindOf(err) != deepimage.KindSlots {
			return job, err
		}
		pause := max(background.Backoff(firstPause, longestPause, failures), deepimage.AfterOf(err))
		if !s.sleep(ctx, pause, until) {
			return "", err
		}
	}
}

// sleep returns false if the pause would last beyond until, or the caller or Stop ended it.
func (s *Submitter) sleep(ctx context.Context, pause time.Duration, until time.Time) bool {
	if time.Now().Add(pause).After(until) {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.waiting, cancel)()
	return background.Sleep(ctx, pause) == nil
}

// recordFailure keeps tracking the job only if it may exist.
func (s *Submitter) recordFailure(ctx context.Context, tracked jobs.Job, cause error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	kind := deepimage.KindOf(cause)
	s.outcomes.WithLabelValues(string(kind)).Inc()
	line := s.Log.Warn().Err(cause).Str("kind", string(kind)).Str("tracked_job", tracked.ID)
	if kind != deepimage.KindOutcome {
		line.AnErr("store", s.Store.Forget(ctx, tracked.ID)).Msg("job submission failed")
		return
	}
	const detail = "Deep Image may have accepted the job. It is not sent again. If its callback comes, that names the job."
	line.AnErr("store", s.Store.SetDetail(ctx, tracked.ID, detail)).Msg("job submission has an unknown outcome")
}

func (s *Submitter) begin() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.stopped {
		return false
	}
	s.calls.Add(1)
	return true
}

// Stop refuses new submissions and waits for those under way. It cancels them shortly before ctx ends, so that their
// outcomes can still be stored.
func (s *Submitter) Stop(ctx context.Context) error {
	s.mutex.Lock()
	s.stopped = true
	s.mutex.Unlock()
	s.stopWaiting()
	if deadline, ok := ctx.Deadline(); ok {
		margin := min(stopMargin, time.Until(deadline)/4)
		defer time.AfterFunc(time.Until(deadline)-margin, s.cancelSending).Stop()
	}
	defer s.cancelSending()
	done := make(chan struct{})
	go func() {
		s.calls.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("submit: stop: %w", ctx.Err())
	}
}

// UnstoredError means that the vendor accepted the job, but its id could not be stored. Its callback will name it.
type UnstoredError struct {
	Job string
	Err error
}

// Error names the job.
func (e *UnstoredError) Error() string {
	return "submit: store job " + e.Job + ": " + e.Err.Error()
}

// Unwrap returns the store's error.
func (e *UnstoredError) Unwrap() error { return e.Err }
