package event

import "slices"

// Status is the state of an event, or of one step of it.
type Status string

// States of events and steps. Waiting and Skipped are states of steps only.
const (
	Pending     Status = "pending"     // starts as soon as a worker is free
	Running     Status = "running"     // an attempt is in progress
	Retrying    Status = "retrying"    // failed, will be retried automatically
	Done        Status = "done"        // finished
	Dead        Status = "dead"        // will not be retried automatically; can be replayed
	Quarantined Status = "quarantined" // waits for verification or a person
	Waiting     Status = "waiting"     // an earlier step of the event is not done yet
	Skipped     Status = "skipped"     // the handler had nothing to do
)

// Statuses returns all states in display order.
func Statuses() []Status {
	return []Status{Pending, Running, Retrying, Done, Dead, Quarantined, Waiting, Skipped}
}

// Valid reports whether s is one of Statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses(), s) }

// Reason classifies the failure of a step. The set is small and fixed, because reasons are metric labels.
type Reason string

// Reasons.
const (
	ReasonTimeout        Reason = "timeout"          // a deadline passed
	ReasonUnreachable    Reason = "unreachable"      // DNS, connect or TLS failed
	ReasonBlockedAddress Reason = "blocked_address"  // the host resolves to an address that may not be dialed
	ReasonHostNotAllowed Reason = "host_not_allowed" // the host or scheme is not on the allow-list
	ReasonTooLarge       Reason = "too_large"        // more bytes or pixels than allowed
	ReasonWrongType      Reason = "wrong_type"       // not a supported image format
	ReasonTruncated      Reason = "truncated"        // fewer bytes than announced, or none
	ReasonExpired        Reason = "expired"          // the result is no longer at its URL
	ReasonNoResult       Reason = "no_result"        // the event has no URL of an image
	ReasonNotVerified    Reason = "not_verified"     // Deep Image does not know the job
	ReasonAuth           Reason = "auth"             // the remote system refused the credentials
	ReasonRateLimited    Reason = "rate_limited"     // the remote system asked to slow down
	ReasonServerError    Reason = "server_error"     // the remote system failed
	ReasonStorage        Reason = "storage"          // our own disk, bucket or database failed
	ReasonOther          Reason = "other"            // anything else
)

// Reasons returns all reasons in display order.
func Reasons() []Reason {
	return []Reason{
		ReasonTimeout, ReasonUnreachable, ReasonBlockedAddress, ReasonHostNotAllowed, ReasonTooLarge, ReasonWrongType,
		ReasonTruncated, ReasonExpired, ReasonNoResult, ReasonNotVerified, ReasonAuth, ReasonRateLimited,
		ReasonServerError, ReasonStorage, ReasonOther,
	}
}

// Valid reports whether r is one of Reasons.
func (r Reason) Valid() bool { return slices.Contains(Reasons(), r) }

// DeleteStep is the name of the step that deletes the images of a job at the vendor, when all handlers are done.
const DeleteStep = "delete-at-vendor"
