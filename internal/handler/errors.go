package handler

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Error is a failed attempt with its reason and what is to happen next.
type Error struct {
	Reason    event.Reason
	Permanent bool          // trying again cannot help
	Parked    bool          // nothing was tried: it comes again when After has passed, as if it had waited all the time
	Disabled  bool          // the target wants no more: its steps are parked until a person enables it
	After     time.Duration // not before this has passed; 0 leaves it to the policy
	Err       error         // says it in a sentence that a person understands
}

// Error gives the sentence.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent says that trying again cannot help: the step is dead with this reason.
func Permanent(reason event.Reason, err error) error {
	return &Error{Reason: reason, Permanent: true, Err: err}
}

// RetryAfter says that the other side asked to be left alone for d.
func RetryAfter(d time.Duration, reason event.Reason, err error) error {
	return &Error{Reason: reason, After: d, Err: err}
}

// Retry gives a failure its reason and leaves the time of the next attempt to the policy.
func Retry(reason event.Reason, err error) error {
	return &Error{Reason: reason, Err: err}
}

// Park says that nothing was tried, because it would be in vain for the time being: the
// other side is known to be down, or is asked often enough. The step comes again when d has
// passed, or as soon as another attempt of the same step shows that the other side is
// back. That costs it neither an attempt nor age.
func Park(d time.Duration, reason event.Reason, err error) error {
	return &Error{Reason: reason, Parked: true, After: d, Err: err}
}

// Disable says that the other side wants nothing more from us, ever, as by 410: the step and
// all others of its name are parked, in every replica, until a person enables them.
func Disable(reason event.Reason, err error) error {
	return &Error{Reason: reason, Parked: true, Disabled: true, Err: err}
}

// Failure is the meaning of any error that a handler returned; a nil error has none.
func Failure(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Reason: event.ReasonTimeout, Err: err}
	default:
		return &Error{Reason: event.ReasonOther, Err: err}
	}
}
