package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

const (
	// slotTurn is how long one request waits for a free slot; then it asks again.
	slotTurn = 30 * time.Second
	// answerTimeout is how long the receiver and Deep Image have beside that, with the longest upload.
	answerTimeout = 20 * time.Minute
	// The pauses between two looks at a job.
	firstLook, longestLook = 250 * time.Millisecond, 5 * time.Second
	// maxMissedLooks is how many looks in a row may go without an answer, about a minute of them.
	maxMissedLooks = 16
)

// submitted is one image and what has become of it.
type submitted struct {
	source   string
	expected admin.Job
	event    admin.Event
	err      error // why it is not stored
}

// hopelessError is a failure that every other image would meet as well.
type hopelessError struct{ error }

// Unwrap gives the failure.
func (e *hopelessError) Unwrap() error { return e.error }

// submit hands one image in, again while it was surely not passed on for want of a slot, or of a receiver that answers.
// What is on its way when submitting ends is not called off.
func (r *submitRun) submit(ctx, submitting context.Context, i image) submitted {
	done := submitted{source: i.source}
	until, gone := time.Now().Add(r.options.slotWait), 0
	for {
		left := max(0, time.Until(until))
		pause, err := r.office.submit(ctx, i, r.template, min(left, slotTurn), &done.expected)
		if _, isGone := errors.AsType[*unreachableError](err); isGone {
			if gone++; gone == maxMissedLooks {
				err = &hopelessError{err}
			} else {
				pause = min(firstLook<<gone, longestLook)
			}
		}
		if done.err = err; err == nil || pause == 0 || time.Now().Add(pause).After(until) {
			return done
		}
		r.results.note(err)
		if !rest(submitting, pause) {
			done.err = fmt.Errorf("not submitted: %w", context.Cause(submitting))
			return done
		}
	}
}

// rest waits, or says false because there is nobody left to wait for.
func rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// submit sends one request. When it was surely not sent on and may be tried again, it says after which pause.
func (o *office) submit(ctx context.Context, i image, template []byte, wait time.Duration, result *admin.Job) (pause time.Duration, err error) {
	body, length, err := i.open(template)
	if err != nil {
		return 0, err
	}
	defer body.Close() //nolint:errcheck // only read from
	ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	address := o.base.JoinPath("/api/v1/jobs")
	address.RawQuery = url.Values{"wait": {strconv.Itoa(int(wait.Seconds()))}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), body)
	if err != nil {
		return 0, fmt.Errorf("ask the receiver: %w", withoutURL(err))
	}
	request.ContentLength = length
	request.Header.Set("Content-Type", "application/json")
	answer, err := o.exchange(request)
	_, isGone := errors.AsType[*unreachableError](err)
	switch isCut := body.read.Load() != length; {
	case isCut && i.hasChanged():
		return 0, errors.New("the file has changed while it was read; it was not submitted")
	case isGone:
		return 0, err
	case err != nil && isCut: // nobody can have taken a part of it
		return 0, fmt.Errorf("%w; the image was not sent whole, so it was not submitted", err)
	case err != nil:
		return 0, fmt.Errorf("%w; whether the image was submitted is not known: look at the jobs of the receiver before you send it again", err)
	case answer.code >= http.StatusMultipleChoices:
		return retryPause(answer), submissionRefusal(answer)
	}
	if err := json.Unmarshal(answer.content, result); err != nil || result.ID == "" {
		return 0, fmt.Errorf("%s gives no answer of a receiver's admin API", o.base.Host)
	}
	return 0, nil
}

// submissionRefusal makes an error of an answer. Without access, credits or configuration no other image would fare better.
func submissionRefusal(answer officeAnswer) error {
	err := refusal(answer)
	switch answer.code {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusMisdirectedRequest:
		return &hopelessError{err}
	default:
		return err
	}
}

// retryPause is after how long a request may be sent again that the receiver has not passed on; 0 is never.
func retryPause(answer officeAnswer) time.Duration {
	isOwn := answer.header.Get("Content-Type") == problem.MediaType // and not that of a proxy, which may have passed it on
	if !isOwn || answer.code != http.StatusTooManyRequests && answer.code != http.StatusServiceUnavailable {
		return 0
	}
	seconds, err := strconv.Atoi(answer.header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		seconds = 1
	}
	return time.Duration(seconds) * time.Second
}

// follow looks at a job until its result is stored, or will not be.
func (r *submitRun) follow(ctx context.Context, done *submitted) {
	ctx, cancel := context.WithTimeout(ctx, r.options.timeout)
	defer cancel()
	missed := 0 // looks in a row without a good answer: the receiver may just be started anew
	for pause := firstLook; ; pause = min(2*pause, longestLook) {
		isOver, err := r.look(ctx, done)
		if missed++; err == nil {
			missed = 0
		}
		switch {
		case isOver:
			done.err = err
			return
		case ctx.Err() != nil, missed == maxMissedLooks:
			done.err = errors.New("still under way; the receiver stores its result when it comes")
			return
		}
		rest(ctx, pause)
	}
}

// look finds out how far a job has come.
func (r *submitRun) look(ctx context.Context, done *submitted) (isOver bool, err error) {
	if done.expected.Event == "" {
		if err := r.office.ask(ctx, http.MethodGet, "/jobs/"+url.PathEscape(done.expected.ID), nil, &done.expected); err != nil {
			return false, err
		}
	}
	switch state := jobs.State(done.expected.State); {
	case state == jobs.Failed, state == jobs.Expired, state == jobs.Lost:
		return true, fmt.Errorf("%s: %s", state, done.expected.Detail)
	case done.expected.Event == "":
		return false, nil
	}
	path, query := "/events/"+url.PathEscape(string(done.expected.Event)), url.Values{"payload": {"false"}}
	if err := r.office.ask(ctx, http.MethodGet, path, query, &done.event); err != nil {
		return false, err
	}
	switch done.event.Status {
	case event.Done:
		return true, nil
	case event.Dead, event.Quarantined:
		return true, errors.New(whyStuck(done.event))
	default:
		return false, nil
	}
}

// whyStuck says what stands in an event's way.
func whyStuck(e admin.Event) string {
	for _, step := range e.Steps {
		if step.Status == event.Dead || step.Status == event.Quarantined {
			return strings.TrimSpace(fmt.Sprintf("%s: %s: %s: %s", e.Status, step.Handler, step.Reason, step.Detail))
		}
	}
	return string(e.Status)
}
