// Package verification calls the vendor's API around the handlers: before them, to verify that the job of a callback exists;
// between them, to renew a result URL that has expired; after them, to delete the images at the vendor.
package verification

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// The names of the steps. No handler can have them.
const (
	VerifyStep = "verify"         // the first step of an event
	DeleteStep = event.DeleteStep // the last one
)

// Vendor is the vendor's API; *deepimage.Client implements it.
type Vendor interface {
	Result(ctx context.Context, job string, options ...deepimage.LookupOption) (deepimage.JobStatus, error)
	Delete(ctx context.Context, job string) error
}

const (
	pendingDelay   = 5 * time.Second // for a job that is not complete; its callback has come, so it soon is
	minDelay       = 2 * time.Second // doubles with each attempt
	maxOutageDelay = time.Minute
	// maxStepDelay is the limit for a source that named too many unknown jobs: its callbacks must not keep the API busy.
	maxStepDelay = 15 * time.Minute
	// A job that the API does not know is looked up again after these pauses, for trackedGrace if it is tracked.
	minUnknownPause = 3 * time.Second
	maxUnknownPause = time.Hour
	trackedGrace    = 24 * time.Hour
)

// deferred classifies a failed API call. It says nothing about the job, so the step is deferred at no cost, whatever the
// kind of the failure.
func deferred(ctx context.Context, attempt int, err error) error {
	failed, ok := errors.AsType[*deepimage.Error](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case !ok:
		return err
	}
	cause, limit := event.CauseOutage, maxOutageDelay
	if failed.Kind == deepimage.KindSource || failed.Kind == deepimage.KindJob {
		cause, limit = event.CauseStep, maxStepDelay
	}
	delay := max(failed.After, background.Backoff(minDelay, limit, max(attempt-1, 0)))
	return handler.Defer(delay+rand.N(delay/4+1), cause, reasonOf(failed.Kind), failed) // jitter
}

func reasonOf(kind deepimage.Kind) event.Reason {
	switch kind {
	case deepimage.KindKey:
		return event.ReasonAuth
	case deepimage.KindLimited, deepimage.KindSlots, deepimage.KindSource:
		return event.ReasonRateLimited
	default:
		return event.ReasonServerError
	}
}

// pending holds the step of a job that is not complete, or that has no result URL yet.
func pending(job deepimage.JobStatus) error {
	if strings.EqualFold(job.Status, string(deepimage.Complete)) {
		return handler.Hold(pendingDelay, event.ReasonNoResult, errNoURL)
	}
	return handler.Hold(pendingDelay, event.ReasonOther, fmt.Errorf("the job is not complete: the Deep Image API reports %q", job.Status))
}

// failed fails the step of a job without an image, with the message of the vendor.
func failed(job deepimage.JobStatus) error {
	text := "Deep Image could not make the image"
	if job.Message != "" {
		text += ": " + job.Message
	}
	return handler.Fail(event.ReasonOther, errors.New(text))
}

var (
	errDeleted = errors.New("the Deep Image API reports that the images of the job are deleted")
	errNoURL   = errors.New("the Deep Image API reports that the job is complete, without the address of a result")
)
