// Package handler is the contract between the executor and the handlers, and what handlers share: how errors are
// classified, how an image is fetched, how an expired result URL is replaced. A handler is a package with a Config, a
// New and a Handle, and one line in package builtin. handlertest.Run is the suite that every handler passes.
package handler

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/rs/zerolog"
)

// Handler does one thing for an event. It is called concurrently. It may be called again for an event that it has
// finished, and must then change nothing. The context carries the deadline of the attempt. The error decides what
// follows, see Error; errors that are not classified are retried.
//
// The outcome counts also beside an error: its artifacts are recorded and are in event.Event.Artifacts at the next
// attempt. The text of an error is shown to people: it must not contain a token, a key or a signed query.
type Handler interface {
	Handle(ctx context.Context, e event.Event) (Outcome, error)
}

// Outcome is what an attempt achieved.
type Outcome struct {
	Artifacts []event.Artifact // stored by this attempt, durable in the bucket
	Skipped   bool             // there was nothing to do for this event
	Detail    string           // for the history of a successful attempt, such as the response of a target; holds no secret
	// ResultURL is the result URL that the vendor reports. It replaces that of the body in all later attempts.
	ResultURL string
	// VerifiedURL is ResultURL of a job that the vendor has confirmed. Only one event of a job is processed for a result:
	// if another event has claimed it, the rest of this one is skipped.
	VerifiedURL string
	// VerifiedResults are the URLs of further results that count beside VerifiedURL. An event with other ones has another result.
	VerifiedResults []string
}

// Limits bound the attempts of one step.
type Limits struct {
	Concurrency int           // attempts at the same time
	Timeout     time.Duration // of one attempt
}

// Config is implemented by the configuration of every handler.
type Config interface {
	// Limits returns the bounds of the handler's steps.
	Limits() Limits
}

// Step is one step of an event, with its own name, queue and limits.
type Step struct {
	Name   string // lower-case letters, digits and single hyphens, at most 60 bytes
	Limits Limits
}

// Targeted is implemented by the Config of a handler with several targets. Each target is a step of its own, so that
// one that is down delays no other. New is called once for each.
type Targeted interface {
	// Steps returns at least one step. Names do not change when targets are added, removed or reordered.
	Steps() []Step
}

// Download is the name of the handler that stores the images, for the handlers that need it.
const Download = "download"

// Dependent is implemented by the Config of a handler that uses what others achieve. Its steps begin when those of the
// handlers that it needs are done. Apart from that handlers do not wait for each other.
type Dependent interface {
	// Needs returns the names of handlers. Those that are not enabled, or come later in RECEIVER_HANDLERS, are ignored.
	Needs() []string
}

// ImageKeeper is implemented by the Config of a handler that keeps the images. Only then may they be deleted at the
// vendor.
type ImageKeeper interface {
	// KeepsImages reports whether the handler keeps images as it is configured.
	KeepsImages() bool
}

// Artifacts opens and deletes stored files. A handler that stores files implements it.
type Artifacts interface {
	// Open opens an artifact. It returns blobstore.ErrNotFound if there is none.
	Open(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error)
	// Link returns a URL under which anyone can read the artifact for a limited time, or "" if the bucket has none.
	Link(ctx context.Context, artifact event.Artifact) (string, error)
	// Delete deletes an artifact, of which nothing has to be there.
	Delete(ctx context.Context, artifact event.Artifact) error
}

// ErrUnknownJob is in the error of Refresh for a job that the vendor does not know, or not yet.
var ErrUnknownJob = errors.New("the Deep Image API does not know the job")

// Refresh returns the result URL of a job as the vendor reports it. The URL may be one that cannot be fetched, such as
// storage://. The error is classified: an outage of the API defers, a failed job fails.
type Refresh func(ctx context.Context, job string) (url string, err error)

// Deps are the dependencies that a handler gets from the application.
type Deps struct {
	Step  string         // name of the step: that of the handler, or one of Targeted.Steps
	Fetch *fetch.Client  // for URLs of a payload
	Log   zerolog.Logger // has the name of the step
	// Artifacts finds the handler that stored an artifact. It returns blobstore.ErrNotFound if that handler is not
	// enabled. It must not be used before Handle.
	Artifacts Artifacts
	Refresh   Refresh // nil without an API key
	// DefaultBucketURL is where files go if the handler has no bucket of its own: file:// of the images folder.
	DefaultBucketURL string
	SpoolFolder      string // local folder for content on its way to an object store
	// Redact returns a body without webhook URLs, tokens and signed queries, and with long strings shortened.
	Redact func(body []byte) ([]byte, error)
}
