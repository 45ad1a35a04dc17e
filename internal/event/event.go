// Package event is the domain: what one completed Deep Image job says, how its
// body is read, and what becomes of it. It imports nothing of this project.
package event

import (
	"encoding/json"
	"net/netip"
	"time"
)

// ID names one accepted event for ever: a UUID version 7, in its canonical text form.
type ID string

// Event is one completed Deep Image job as reported to us. Its identity is Job
// together with Digest; ID is the name we gave it.
type Event struct {
	ID       ID
	Job      string    // the vendor's job id; any string of 1 to MaxJobBytes bytes
	Digest   Digest    // of what the body says the result is
	Received time.Time // when the body was complete, UTC, microseconds

	ResultURL string          // result_url; "" when null, empty or missing
	Results   json.RawMessage // results as sent; nil when null or missing
	Data      json.RawMessage // data as sent: the request, echoed; nil when missing
	Body      []byte          // the whole body, byte for byte

	Source netip.Addr // who told us; the zero Addr when that is not known, or was nobody
	Origin Origin     // how we came to know of it
	Token  []byte     // SHA-256 of the token of one job that it came with; nil when it came with none

	Artifacts []Artifact // what handlers have stored for this event so far
	Attempt   int        // number of the attempt that a step is making, from 1
	Recheck   bool       // a person wants what is known of the job to be asked anew
}

// Origin says how we came to know of an event.
type Origin string

// Every origin.
const (
	OriginCallback   Origin = "callback"   // the vendor called, or somebody who has the token
	OriginReconciled Origin = "reconciled" // no callback came; we asked the vendor
)

// Result is one address in an event under which an image is offered.
type Result struct {
	URL     string // http or https, absolute
	Pointer string // JSON pointer (RFC 6901) to where the body says it
}

// IsRenewable says whether an address that the vendor gives now can stand for this result, one of so many of its event: it
// gives one for a job.
func (r Result) IsRenewable(results int) bool { return results == 1 || r.Pointer == "/result_url" }

// Artifact is a file that a handler stored.
type Artifact struct {
	Handler   string    // name of the handler that stored it
	Index     int       // position among the event's results, from 0; -1 for the manifest
	Source    string    // where it came from, redacted; "" for what we made ourselves
	Key       string    // its key in the bucket
	URL       string    // where the bucket holds it, such as file:///data/images/...
	Bytes     int64     // length
	SHA256    string    // of the content, 64 lower-case hexadecimal digits
	MediaType string    // by its first bytes, such as image/png
	Width     int       // pixels; 0 for what is no image
	Height    int       // pixels; 0 for what is no image
	Stored    time.Time // when it was safe in the bucket
}

// Receipt is the answer of a store to an event.
type Receipt struct {
	ID        ID   // ID of the event; for a duplicate, ID of the first
	Duplicate bool // the event was stored before
}

// Rejection is the body of an authenticated callback that was not accepted. A bounded number is kept.
type Rejection struct {
	Received time.Time
	Code     RejectionCode
	Detail   string // answer to the sender
	Body     []byte // byte for byte
}

// RejectionCode says why a callback was not accepted.
type RejectionCode string

// Codes of rejections.
const (
	RejectedMalformed RejectionCode = "malformed" // see MalformedError
	RejectedInvalid   RejectionCode = "invalid"   // see InvalidError
)
