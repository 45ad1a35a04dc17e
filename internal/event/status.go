package event

import "slices"

// Status is where an event, or one step of it, stands.
type Status string

// The states of events and steps. Waiting and Skipped are states of steps only,
// Quarantined of events only.
const (
	Pending     Status = "pending"     // to be worked on as soon as a worker is free
	Running     Status = "running"     // a handler works on it
	Retrying    Status = "retrying"    // failed, will be tried again by itself
	Done        Status = "done"        // finished; never runs again
	Dead        Status = "dead"        // will not be tried again by itself; can be replayed
	Quarantined Status = "quarantined" // stored, not acted on until verified
	Waiting     Status = "waiting"     // an earlier step of the event is not done yet
	Skipped     Status = "skipped"     // there was nothing to do for this handler
)

// Statuses lists every status, in the order in which they are shown.
func Statuses() []Status {
	return []Status{Pending, Running, Retrying, Done, Dead, Quarantined, Waiting, Skipped}
}

// Valid tells whether s is one of Statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses(), s) }

// Reason says in one word why a step failed. The set is small and fixed, so that
// it can label a metric.
type Reason string

// Every reason there is.
const (
	ReasonTimeout        Reason = "timeout"          // a deadline passed
	ReasonUnreachable    Reason = "unreachable"      // DNS, connect or TLS failed
	ReasonBlockedAddress Reason = "blocked_address"  // the host resolves to an address we refuse to dial
	ReasonHostNotAllowed Reason = "host_not_allowed" // the host or scheme is not on the allow-list
	ReasonTooLarge       Reason = "too_large"        // more bytes or pixels than allowed
	ReasonWrongType      Reason = "wrong_type"       // not an image we know
	ReasonTruncated      Reason = "truncated"        // fewer bytes than announced, or none
	ReasonExpired        Reason = "expired"          // the result is gone from where it was
	ReasonNoResult       Reason = "no_result"        // the event names no address of an image
	ReasonNotVerified    Reason = "not_verified"     // the vendor does not know the job
	ReasonAuth           Reason = "auth"             // the other side refuses our credentials
	ReasonRateLimited    Reason = "rate_limited"     // the other side asks us to slow down
	ReasonServerError    Reason = "server_error"     // the other side failed
	ReasonStorage        Reason = "storage"          // our own disk, bucket or database failed
	ReasonOther          Reason = "other"            // anything else
)

// Reasons lists every reason, in the order in which they are shown.
func Reasons() []Reason {
	return []Reason{
		ReasonTimeout, ReasonUnreachable, ReasonBlockedAddress, ReasonHostNotAllowed, ReasonTooLarge, ReasonWrongType,
		ReasonTruncated, ReasonExpired, ReasonNoResult, ReasonNotVerified, ReasonAuth, ReasonRateLimited,
		ReasonServerError, ReasonStorage, ReasonOther,
	}
}

// Valid tells whether r is one of Reasons.
func (r Reason) Valid() bool { return slices.Contains(Reasons(), r) }
