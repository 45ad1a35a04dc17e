// Package handler is the contract between the pipeline and what is done for an
// event. A handler is a package with a Config, a New and a Handle, and one line
// in package builtin; handlertest.Run is the suite that every one passes.
package handler

import (
	"context"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/rs/zerolog"
)

// Handler does one thing for an event. It is called from many goroutines, may be
// called again for an event it has already finished, and must then change nothing.
// The context carries the deadline of the attempt. What the error says decides
// what happens next: nil, Permanent, RetryAfter, or anything else for a retry by policy.
//
// The outcome counts also beside an error: artifacts that were stored before the
// failure are recorded and come back in event.Event.Artifacts at the next attempt.
// An error's text is shown to people: it never holds a token, a key or a signed query.
type Handler interface {
	Handle(ctx context.Context, e event.Event) (Outcome, error)
}

// Outcome is what an attempt achieved.
type Outcome struct {
	Artifacts []event.Artifact // stored by this attempt, safe in the bucket
	Skipped   bool             // there was nothing to do for this event
	// Detail is what the history shows of an attempt that succeeded, if there is anything to
	// say, such as what the other side answered. As little secret as an error's text.
	Detail string
	// ResultURL is where the vendor itself says that the result is. The event has it instead of
	// what its body says, for all attempts that begin from now on.
	ResultURL string
	// Verified says that the vendor, asked about the job, named ResultURL. Of all events of the job one
	// is worked on for it: if another is already, the rest of this one is skipped.
	Verified bool
}

// Limits bound the work of one handler.
type Limits struct {
	Concurrency int           // attempts at the same time
	Timeout     time.Duration // of one attempt
}

// Config is what a handler's configuration struct can say about itself.
type Config interface {
	// Limits are the bounds the pipeline keeps for the handler.
	Limits() Limits
}

// Step is one step that an event goes through: it has a name, a queue and bounds of its own.
type Step struct {
	Name   string // as it is recorded and shown; lower-case letters, digits and single hyphens, at most 60 bytes
	Limits Limits
}

// Targeted is what the Config of a handler has that does its work for each of several
// targets: each is a step of its own, so that one that is down delays no other. New
// is called once for each.
type Targeted interface {
	// Steps are never none. A name stays the same when targets are added, removed or put in another order.
	Steps() []Step
}

// ImageKeeper is what the Config of a handler has that brings the images themselves to safety: then they may be deleted at the vendor.
type ImageKeeper interface {
	// KeepsImages says whether it does so as it is configured.
	KeepsImages() bool
}

// Artifacts is what handlers have stored, for those that come after them. A handler
// that stores files is one.
type Artifacts interface {
	// Open reads an artifact, or gives blobstore.ErrNotFound.
	Open(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error)
	// Link is an address under which anybody can read the artifact for a while, or "" where
	// the bucket cannot make one.
	Link(ctx context.Context, artifact event.Artifact) (string, error)
}

// Refresh asks the vendor where the result of a job is now. What it gives may be no address that can be fetched,
// such as storage://. Its errors have their meaning: an outage of the vendor's API is a wait, a job that failed is permanent.
type Refresh func(ctx context.Context, job string) (address string, err error)

// Deps is what the house lends to a handler.
type Deps struct {
	Step  string         // the name of the step that it is made for: its own, or one of Targeted.Steps
	Fetch *fetch.Client  // for URLs that came in a payload
	Log   zerolog.Logger // carries the step's name
	// Artifacts finds the handler that stored an artifact. It gives blobstore.ErrNotFound when
	// that handler is not enabled. It is of use in Handle, not in New.
	Artifacts Artifacts
	// Refresh asks the vendor for a fresh address of a job's result. It is nil when there is no key of its API.
	Refresh Refresh
	// DefaultBucketURL is where files go when the handler's own bucket is not set:
	// file:// of the images folder in the data folder.
	DefaultBucketURL string
	// SpoolFolder is a local folder for content on its way to an object store.
	SpoolFolder string
	// Redact makes a body fit to be shown or stored beside an image: no webhook URL,
	// no token, no signed query, long strings shortened.
	Redact func(body []byte) ([]byte, error)
}
