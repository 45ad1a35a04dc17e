// Package event is the domain: the event of a completed Deep Image job, how its body is
// read and redacted, and the states of its steps. It imports no other package of this project.
package event

import (
	"encoding/json"
	"net/netip"
	"time"
)

// ID is the permanent id of an accepted event: a UUID version 7 in canonical text form.
type ID string

// Event is one completed Deep Image job as a callback reports it. Job and Digest are its identity.
type Event struct {
	ID       ID
	Job      string    // job id of Deep Image; any string of 1 to MaxJobBytes bytes
	Names              // what people call it
	Digest   Digest    // of result_url and results, without the signatures of URLs
	Received time.Time // when the body was complete, UTC, microseconds

	// SignedDigest is the digest with the signatures of URLs. An event that is stored with it is the same event.
	SignedDigest Digest

	ResultURL string          // result_url; "" when null, empty or missing
	Results   json.RawMessage // results as sent; nil when null or missing
	Data      json.RawMessage // data as sent: the echoed request; nil when missing; may have Defects, which Redact repairs
	Body      []byte          // the whole body, byte for byte

	Defects []Defect // the first places outside of job, result_url and results that are not JSON; nil for none

	Original *Original // the body as it came, if Body was decompressed or taken out of a form; nil otherwise

	Source netip.Addr // client IP of the callback; the zero Addr if unknown
	Origin Origin     // how the event was found
	Token  []byte     // SHA-256 of the job token of the callback; nil for none

	Artifacts []Artifact // stored for this event so far
	Attempt   int        // number of the current attempt of a step, from 1
	Recheck   bool       // a person asked to look up the job again
}

// Entry is an accepted event, without its body, on its way from the inbox to the work store.
type Entry struct {
	Sequence int64 // the event's number in the inbox
	ID       ID
	Job      string
	Names
	Digest   Digest
	Received time.Time
	Bytes    int64 // length of the body
	Original int64 // length of the body as it came; 0 if that is the body
	Source   netip.Addr
	Origin   Origin
	Token    []byte // SHA-256 of the token of a submitted job; nil if the callback did not carry one
}

// Original is the body of a request as it came.
type Original struct {
	ContentEncoding string // as the request says, made safe to show; "" for none
	ContentType     string // likewise
	Body            []byte
}

// Origin says how an event was found.
type Origin string

// Origins.
const (
	OriginCallback   Origin = "callback"   // by a callback with a valid token
	OriginReconciled Origin = "reconciled" // by a lookup at Deep Image, because no callback came
	OriginRejection  Origin = "rejection"  // by a person who accepted a rejected callback
)

// Result is the URL of an image in an event.
type Result struct {
	URL     string // http or https, absolute
	Pointer string // JSON pointer (RFC 6901) to its place in the body
}

// IsRenewable reports whether a fresh URL from Deep Image can replace this one. Deep Image has one URL for a job; results
// is the number of results of the event.
func (r Result) IsRenewable(results int) bool { return results == 1 || r.Pointer == "/result_url" }

// Artifact is a file that a handler stored.
type Artifact struct {
	Handler   string    `json:"handler"`          // name of the handler that stored it
	Index     int       `json:"position"`         // position among the event's results, from 0; -1 for the manifest
	Source    string    `json:"source,omitempty"` // redacted URL of the original; "" for files made by a handler
	Key       string    `json:"key"`              // its key in the bucket
	URL       string    `json:"url"`              // its place in the bucket, such as file:///data/images/...
	Bytes     int64     `json:"bytes"`            // length
	SHA256    string    `json:"sha256"`           // of the content, 64 lower-case hexadecimal digits
	MediaType string    `json:"media_type"`       // by its first bytes, such as image/png
	Width     int       `json:"width"`            // pixels; 0 if it is not an image
	Height    int       `json:"height"`           // pixels; 0 if it is not an image
	Stored    time.Time `json:"stored_at"`        // time of storage
}

// Receipt is the answer of a store to an event.
type Receipt struct {
	ID        ID   // ID of the event; for a duplicate, ID of the first
	Duplicate bool // the event was stored before
}
