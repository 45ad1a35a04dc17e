package deepimage

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the class of a failure. None of them says anything about a job.
type Kind string

// The failures of every call.
const (
	KindUnavailable Kind = "unavailable"  // no answer, or none that can be understood; later it may be there
	KindLimited     Kind = "rate_limited" // the API, or our own bound on calls, asks for a pause
	KindKey         Kind = "key"          // the API does not take the key: a person must look
	KindCancelled   Kind = "cancelled"    // the caller gave up, or the client was closed
)

// The failures of Result only.
const (
	KindSource Kind = "source" // callbacks from there have named too many jobs that the API says nothing of
	// KindJob: the API answers what is no word about a job, and the job's id may be the cause. It says nothing of other jobs.
	KindJob Kind = "job"
)

// KindRefused says that the request of Submit or its image is no good, or that Delete is not allowed; the same again will be refused.
const KindRefused Kind = "refused"

// The failures of Submit only.
const (
	KindSlots   Kind = "slots"   // as many jobs are under way as the plan allows
	KindCredits Kind = "credits" // the account has too few credits
	// KindOutcome: the request was sent and the answer did not come, or was none. The job may exist
	// and may have been charged. It must not simply be sent again.
	KindOutcome Kind = "unknown_outcome"
)

// Error is a call that failed. Its text is a sentence for a person; it holds no key, and of the
// vendor's own words only what is fit to be shown.
type Error struct {
	Kind   Kind
	Status int           // of the answer; 0 if there was none
	After  time.Duration // how long not to ask again; 0 if nobody said
	Text   string
	Err    error // of the context or the system; nil if the text says all
}

// Error gives the sentence.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives the kind of a failure, "" for an error that is not from this package.
func KindOf(err error) Kind {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.Kind
	}
	return ""
}

// AfterOf is how long not to ask again after a failure, 0 if nobody said.
func AfterOf(err error) time.Duration {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.After
	}
	return 0
}

func failf(kind Kind, format string, values ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, values...)}
}

// answered is failf for an answer with a status.
func answered(kind Kind, status int, format string, values ...any) *Error {
	failed := failf(kind, format, values...)
	failed.Status = status
	return failed
}
