// Package verification asks the vendor's API before others act and after they have: whether the job of a
// callback exists and where its result is, for a fresh address of a result that has expired, and, when
// all is stored, to delete the images there.
package verification

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// The names of the steps, as they are recorded. No handler can have them.
const (
	// VerifyStep is the first of an event.
	VerifyStep = "verify"
	// DeleteStep is the last.
	DeleteStep = "delete-at-vendor"
)

// Vendor is the API, as *deepimage.Client has it.
type Vendor interface {
	Result(ctx context.Context, job string, looks ...deepimage.LookupOption) (deepimage.JobStatus, error)
	Delete(ctx context.Context, job string) error
}

const (
	// pendingPause is how long a job is given that the vendor has not finished, before its callback is
	// looked at again: the callback came, so it cannot be long.
	pendingPause = 5 * time.Second
	// An outage is waited out with pauses that double: whoever finds the API back brings all others back.
	firstPause, longestPause = 2 * time.Second, time.Minute
	// A source that has named too many unknown jobs waits longer each time, so that its many callbacks do not keep us busy.
	longestTurn = 15 * time.Minute
)

// outage gives a look-up that says nothing about the job its meaning: whatever the cause, the event waits
// and pays nothing for it.
func outage(ctx context.Context, attempt int, err error) error {
	failed, ok := errors.AsType[*deepimage.Error](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case !ok:
		return err
	case failed.Kind == deepimage.KindSource, failed.Kind == deepimage.KindJob:
		return handler.Defer(spread(max(failed.After, doubled(firstPause, attempt, longestTurn))), event.CauseStep, reasonOf(failed.Kind), failed)
	default:
		return handler.Defer(spread(max(failed.After, doubled(firstPause, attempt, longestPause))), event.CauseOutage, reasonOf(failed.Kind), failed)
	}
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

// doubled is the pause after so many attempts, up to most.
func doubled(first time.Duration, attempts int, most time.Duration) time.Duration {
	return min(first<<min(max(attempts-1, 0), 20), most)
}

// spread keeps many that failed together from coming back together.
func spread(d time.Duration) time.Duration { return d + rand.N(d/4+1) }

// pending says that the job is not ready, or not so that anything could be fetched.
func pending(verdict deepimage.JobStatus) error {
	if strings.EqualFold(verdict.Status, string(deepimage.Complete)) {
		return handler.Hold(pendingPause, event.ReasonNoResult, errNoAddress)
	}
	return handler.Hold(pendingPause, event.ReasonOther, fmt.Errorf("the Deep Image API says that the job is not complete but %q", verdict.Status))
}

// failed says with the vendor's own words that there is no image.
func failed(verdict deepimage.JobStatus) error {
	text := "the image could not be made by Deep Image"
	if verdict.Message != "" {
		text += ": " + verdict.Message
	}
	return handler.Fail(event.ReasonOther, errors.New(text))
}

var (
	errDeleted   = errors.New("the Deep Image API says that it has deleted the images of the job")
	errNoAddress = errors.New("the Deep Image API says that the job is complete, and gives no address of its result")
)
