package deepimage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind is the class of an error. No error says anything about the state of a job.
type Kind string

// The errors of every call.
const (
	KindUnavailable Kind = "unavailable"  // no usable response; retry later
	KindLimited     Kind = "rate_limited" // by the API, or by our own limits
	KindKey         Kind = "key"          // the API refuses the key
	KindCancelled   Kind = "cancelled"    // by the caller or by Close
)

// The errors of Result only.
const (
	KindSource Kind = "source" // the source of the callback named too many jobs that the API does not know
	KindJob    Kind = "job"    // unusable response, possibly caused by this job id; other jobs are not affected
)

// KindRefused is an error of Submit and Delete: the API refuses the request, and would refuse it again.
const KindRefused Kind = "refused"

// The errors of Submit only.
const (
	KindSlots   Kind = "slots"           // the plan's limit of concurrent jobs is reached
	KindCredits Kind = "credits"         // the account has too few credits
	KindOutcome Kind = "unknown_outcome" // sent, but no usable response: the job may exist and cost credits; do not send it again
)

// Error is the error of every call. Its text is a sentence for a person. It never holds the key, and the vendor's
// own texts only sanitized.
type Error struct {
	Kind   Kind
	Status int           // of the HTTP response; 0 without one
	After  time.Duration // earliest time for a retry; 0 if not known
	Text   string
	Err    error // of the context or the system; may be nil
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error of this package, else "".
func KindOf(err error) Kind {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.Kind
	}
	return ""
}

// AfterOf returns the After of an error of this package, else 0.
func AfterOf(err error) time.Duration {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.After
	}
	return 0
}

func failf(kind Kind, format string, values ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, values...)}
}

// statusf is failf for a response with a status.
func statusf(kind Kind, status int, format string, values ...any) *Error {
	failed := failf(kind, format, values...)
	failed.Status = status
	return failed
}

// cancelled returns the error of a context that ended before the response.
func cancelled(ctx context.Context) *Error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Kind: KindUnavailable, Text: "the Deep Image API did not answer before the deadline", Err: err}
	}
	return &Error{Kind: KindCancelled, Text: "the call of the Deep Image API was cancelled", Err: err}
}
