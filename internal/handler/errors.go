package handler

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Error is a failed attempt: what follows from it and why. The combinations that occur are those of the constructors:
//
//	constructor             action      cause          delay     when
//	Retry                   retry       -              policy    the failure may pass
//	RetryAfter              retry       -              at least  the remote system named a delay (Retry-After)
//	Hold                    hold        -              at least  the remote system answered: the result is not ready
//	Defer(d, CauseNone)     defer       -              exactly   nothing was tried, the target is known to be down
//	Defer(d, CauseOutage)   defer       outage         exactly   the attempt found an outage, which says nothing about the event
//	Defer(d, CauseStep)     defer       step           exactly   a limit or an outage that concerns this step alone
//	Outage                  defer       outage         growing   a bucket or a broker is down, as far as the error shows
//	OutageOfStep            defer       step           growing   a full disk, a missing permission, a host that is slow or not allowed
//	Quarantine              quarantine  -              -         the event may be forged
//	Fail                    fail        -              -         no further attempt can succeed
//	FailDeleted             fail        deleted        -         the vendor has deleted the result
//	Disable                 disable     -              -         the target wants no further requests (410)
type Error struct {
	Action event.Action
	Cause  event.Cause // refines Action, usually empty
	Reason event.Reason
	Delay  time.Duration // before the next attempt; 0 leaves it to the retry policy
	Host   string        // that is not allowed, for ReasonHostNotAllowed
	Err    error         // its text is shown to people
}

// Error returns the text for people.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retry reports a failure that may pass. The retry policy chooses the delay.
func Retry(reason event.Reason, err error) error {
	return &Error{Action: event.ActionRetry, Reason: reason, Err: err}
}

// RetryAfter is Retry with a delay of at least d, as far as the retry policy allows.
func RetryAfter(d time.Duration, reason event.Reason, err error) error {
	return &Error{Action: event.ActionRetry, Reason: reason, Delay: d, Err: err}
}

// Hold reports that the remote system is not ready. Attempts are not counted; the step fails when it is too old. The
// delay is at least d and grows with the age of the step.
func Hold(d time.Duration, reason event.Reason, err error) error {
	return &Error{Action: event.ActionHold, Reason: reason, Delay: d, Err: err}
}

// Defer puts the step off for d at no cost: neither attempts nor age count. With 0 the executor chooses a delay that
// grows. See event.Cause for how it ends.
func Defer(d time.Duration, cause event.Cause, reason event.Reason, err error) error {
	return &Error{Action: event.ActionDefer, Cause: cause, Reason: reason, Delay: d, Err: err}
}

// Outage defers a step because a bucket or a broker is unreachable or does not accept for reasons of its own. The delay
// grows up to some minutes. If other steps of the name succeed meanwhile, the executor counts the attempt like Retry:
// then the fault may be of this event alone.
func Outage(reason event.Reason, err error) error { return Defer(0, event.CauseOutage, reason, err) }

// OutageOfStep is Outage for a fault that surely is not of the event, but may not concern others: a large image fills a
// disk that still has space for small ones. The success of others neither ends the delay early nor makes the attempt count.
func OutageOfStep(reason event.Reason, err error) error {
	return Defer(0, event.CauseStep, reason, err)
}

// Quarantine reports that the event may be forged: no handler runs before it is verified or released.
func Quarantine(reason event.Reason, err error) error {
	return &Error{Action: event.ActionQuarantine, Reason: reason, Err: err}
}

// Fail reports that no further attempt can succeed: the step is dead.
func Fail(reason event.Reason, err error) error {
	return &Error{Action: event.ActionFail, Reason: reason, Err: err}
}

// FailDeleted is Fail for a result that the vendor has deleted.
func FailDeleted(reason event.Reason, err error) error {
	return &Error{Action: event.ActionFail, Cause: event.CauseDeleted, Reason: reason, Err: err}
}

// Disable reports that the target wants no further requests: all steps of its name wait, on every replica, until a
// person enables it or a probe succeeds.
func Disable(reason event.Reason, err error) error {
	return &Error{Action: event.ActionDisable, Reason: reason, Err: err}
}

// Classify returns err as an *Error, and nil for nil. Errors that a handler did not classify are retried.
func Classify(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Action: event.ActionRetry, Reason: event.ReasonTimeout, Err: err}
	default:
		return &Error{Action: event.ActionRetry, Reason: event.ReasonOther, Err: err}
	}
}
