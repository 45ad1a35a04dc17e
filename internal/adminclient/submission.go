package adminclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// MaxParallel is how many submissions a receiver handles at the same time.
const MaxParallel = 4

const (
	// maxFollowed is how many jobs are followed at the same time.
	maxFollowed = 256
	// slotWait is how long one request waits for a free slot at Deep Image; then it is sent again.
	slotWait = 30 * time.Second
	// submitTimeout bounds one submission without that wait. It includes the longest upload.
	submitTimeout = 20 * time.Minute
	// The delays between two requests for the state of a job.
	minPoll, maxPoll = 250 * time.Millisecond, 5 * time.Second
	// maxFailedPolls is how many requests in a row may fail, for about a minute.
	maxFailedPolls = 16
)

// Submission submits images and follows their jobs.
type Submission struct {
	Client    *Client
	Request   Request
	Reference string        // of all images; "" for none
	SlotWait  time.Duration // how long an image may wait for a free slot at Deep Image
	Timeout   time.Duration // from the submission of an image until its result is stored
	Parallel  int           // simultaneous submissions, 1 to MaxParallel
	Detach    bool          // do not wait for results

	// Done is called as each image ends, Waiting when a submission is delayed and will be retried. Both are called
	// from several goroutines.
	Done    func(Submitted)
	Waiting func(cause error)
}

// Submitted is one image and the outcome of its submission.
type Submitted struct {
	Source string
	Job    Job
	Event  Event
	Err    error // why the result is not stored, or the image not submitted; nil if all went well
}

// permanentError is a failure that every other image would have as well.
type permanentError struct{ error }

// Unwrap returns the failure.
func (e *permanentError) Unwrap() error { return e.error }

// Run submits all images. It returns when each has been passed to Done.
func (s *Submission) Run(ctx context.Context, images []Image) {
	submitting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	slots, followed := make(chan struct{}, s.Parallel), make(chan struct{}, maxFollowed)
	var running sync.WaitGroup
	for _, image := range images {
		if !acquire(submitting, slots) || !acquire(submitting, followed) {
			s.Done(Submitted{Source: image.Source, Err: fmt.Errorf("not submitted: %w", context.Cause(submitting))})
			continue
		}
		running.Go(func() {
			result := s.submit(ctx, submitting, image)
			<-slots
			if _, ok := errors.AsType[*permanentError](result.Err); ok {
				stop(errors.New("the receiver would refuse it for the same reason"))
			}
			if result.Err == nil && !s.Detach {
				s.follow(ctx, &result)
			}
			<-followed
			s.Done(result)
		})
	}
	running.Wait()
}

// acquire waits for a slot. It returns false when the context ends.
func acquire(ctx context.Context, slots chan<- struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// submit submits one image. It retries while the request certainly has not reached Deep Image. When submitting ends, it
// starts no further attempt; the current one continues.
func (s *Submission) submit(ctx, submitting context.Context, i Image) Submitted {
	result := Submitted{Source: i.Source}
	deadline, unreachable := time.Now().Add(s.SlotWait), 0
	for {
		wait := min(max(0, time.Until(deadline)), slotWait)
		job, err := s.Client.Submit(ctx, i, s.Request, s.Reference, wait)
		var delay time.Duration // 0 is no retry
		if failed, ok := errors.AsType[*StatusError](err); ok {
			delay = failed.RetryAfter
		}
		if _, ok := errors.AsType[*UnreachableError](err); ok {
			if unreachable++; unreachable == maxFailedPolls {
				err = &permanentError{err}
			} else {
				delay = min(minPoll<<unreachable, maxPoll)
			}
		}
		result.Job, result.Err = job, err
		if err == nil || delay == 0 || time.Now().Add(delay).After(deadline) {
			return result
		}
		s.Waiting(err)
		if background.Sleep(submitting, delay) != nil {
			result.Err = fmt.Errorf("not submitted: %w", context.Cause(submitting))
			return result
		}
	}
}

// Submit sends one request to process an image. It waits at most that long for a free slot. A StatusError with a
// RetryAfter and an UnreachableError say that Deep Image has certainly not received the request.
func (c *Client) Submit(ctx context.Context, i Image, r Request, reference string, wait time.Duration) (Job, error) {
	body, length, err := i.open(r)
	if err != nil {
		return Job{}, err
	}
	defer body.Close() //nolint:errcheck // only read from
	ctx, cancel := context.WithTimeout(ctx, wait+submitTimeout)
	defer cancel()
	query := url.Values{"wait": {strconv.Itoa(int(wait.Seconds()))}}
	if reference != "" {
		query.Set(event.ReferenceParameter, reference)
	}
	if i.isFile {
		query.Set(event.InputParameter, event.CleanName(filepath.Base(i.Source)))
	}
	request, err := c.newRequest(ctx, http.MethodPost, "/jobs", query, body)
	if err != nil {
		return Job{}, err
	}
	request.ContentLength = length
	response, err := c.send(request)
	_, unreachable := errors.AsType[*UnreachableError](err)
	switch truncated := body.read.Load() != length; {
	case truncated && i.hasChanged():
		return Job{}, errors.New("the file changed while it was read; it was not submitted")
	case unreachable:
		return Job{}, err
	case err != nil && truncated: // no receiver processes a part of a request
		return Job{}, fmt.Errorf("%w; the image was not sent completely, so it was not submitted", err)
	case err != nil:
		return Job{}, fmt.Errorf("%w; the outcome is unknown: run \"receiver jobs list\" before you submit the image again", err)
	}
	var job Job
	if err := c.decode(response, &job); err != nil {
		return Job{}, submissionError(err)
	}
	if job.ID == "" {
		return Job{}, fmt.Errorf("the response of %s is not that of a receiver's admin API", c.base.Host)
	}
	return job, nil
}

// submissionError marks the failures that every other image would have as well: no access, credits or configuration.
func submissionError(err error) error {
	failed, ok := errors.AsType[*StatusError](err)
	if !ok {
		return err
	}
	switch failed.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusMisdirectedRequest:
		return &permanentError{err}
	default:
		return err
	}
}

// retryAfter returns the delay before a request may be sent again, 0 if it must not be. Only the receiver itself, not a
// proxy, knows that it has not forwarded the request.
func retryAfter(r response) time.Duration {
	fromReceiver := r.header.Get("Content-Type") == problem.MediaType
	if !fromReceiver || r.code != http.StatusTooManyRequests && r.code != http.StatusServiceUnavailable {
		return 0
	}
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		seconds = 1
	}
	return time.Duration(seconds) * time.Second
}

// follow polls a job until its result is stored, or will not be.
func (s *Submission) follow(ctx context.Context, result *Submitted) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	failed := 0 // polls in a row: the receiver may be restarting
	for delay := minPoll; ; delay = min(2*delay, maxPoll) {
		ended, err := s.Client.poll(ctx, result)
		if failed++; err == nil {
			failed = 0
		}
		switch {
		case ended:
			result.Err = err
			return
		case ctx.Err() != nil, failed == maxFailedPolls:
			result.Err = errors.New("still running; the receiver will store the result when it arrives")
			return
		}
		_ = background.Sleep(ctx, delay) // the next poll fails if the context ended
	}
}

// poll updates the job and the event of a submission. It reports whether it has ended, and with which failure.
func (c *Client) poll(ctx context.Context, result *Submitted) (ended bool, err error) {
	if result.Job.Event == "" {
		if err := c.get(ctx, "/jobs/"+url.PathEscape(result.Job.ID), nil, &result.Job); err != nil {
			return false, err
		}
	}
	switch result.Job.State {
	case "failed", "expired", "lost":
		return true, fmt.Errorf("%s: %s", result.Job.State, result.Job.Detail)
	}
	if result.Job.Event == "" {
		return false, nil
	}
	path, query := "/events/"+url.PathEscape(string(result.Job.Event)), url.Values{"payload": {"false"}}
	if err := c.get(ctx, path, query, &result.Event); err != nil {
		return false, err
	}
	switch result.Event.State {
	case event.Done:
		return true, nil
	case event.Dead, event.Quarantined:
		return true, errors.New(stepFailure(result.Event))
	default:
		return false, nil
	}
}

// stepFailure describes the first step that is dead or quarantined.
func stepFailure(e Event) string {
	for _, step := range e.Steps {
		if step.State == event.Dead || step.State == event.Quarantined {
			return strings.TrimSpace(fmt.Sprintf("%s: %s: %s: %s", e.State, step.Handler, step.Reason, step.Detail))
		}
	}
	return string(e.State)
}
