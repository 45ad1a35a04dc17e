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
	Permanent bool // trying again cannot help
	Parked    bool // nothing was tried: it comes again when After has passed, as if it had waited all the time
	Firm      bool // with Parked: not before After has passed, whatever other attempts show
	Silent    bool // with Parked: the other side was asked and gave no answer that says anything of the event
	Disabled  bool // the target wants no more: its steps are parked until a person enables it
	// Quarantined says that nobody may act on the event before a person or the vendor has said so.
	Quarantined bool
	// Gone says, beside Permanent, that the vendor has removed the result: another event of the job may have got it before.
	Gone bool
	// Patient says that the other side is not ready, and gave its word: attempts are not counted, only their time is.
	Patient bool

	After time.Duration // not before this has passed; 0 leaves it to the policy
	Err   error         // says it in a sentence that a person understands
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

// Unready says that what is waited for is not there yet. It is asked for again not before d has passed, with growing pauses, until the
// step is too old.
func Unready(d time.Duration, reason event.Reason, err error) error {
	return &Error{Reason: reason, Patient: true, After: d, Err: err}
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

// Outage is Park for a step whose other side was asked and did not answer, or with nothing that
// says anything of the event. That costs the step neither an attempt nor age: an outage of whatever length kills no event.
func Outage(d time.Duration, reason event.Reason, err error) error {
	return &Error{Reason: reason, Parked: true, Silent: true, After: d, Err: err}
}

// Wait is Park for a step whose own turn has not come: it comes again when d has passed and not before.
func Wait(d time.Duration, reason event.Reason, err error) error {
	return &Error{Reason: reason, Parked: true, Firm: true, After: d, Err: err}
}

// Quarantine says that the event may be a forgery: nobody acts on it before it is verified or a person releases it.
func Quarantine(reason event.Reason, err error) error {
	return &Error{Reason: reason, Quarantined: true, Err: err}
}

// Gone is Permanent for an event whose result the vendor has removed. Where another event of the
// same job has got it before, this one is skipped and not dead.
func Gone(reason event.Reason, err error) error {
	return &Error{Reason: reason, Permanent: true, Gone: true, Err: err}
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
