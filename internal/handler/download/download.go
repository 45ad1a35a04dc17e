// Package download is the handler that stores the images of an event: each is
// fetched into a spool, checked there, and gets its name in the bucket only when it
// is whole. A manifest beside them says what was stored and why.
package download

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Name is the handler's name, as it is listed, configured and recorded.
const Name = "download"

// Handler stores images. It is safe for use by many goroutines.
type Handler struct {
	fetch      *fetch.Client
	refresh    handler.Refresh // nil without a key of the vendor's API
	bucket     blobstore.Bucket
	template   Template
	maxBytes   int64
	maxPixels  int64
	linkExpiry time.Duration
	redact     func(body []byte) ([]byte, error)
}

// New opens the bucket that config names, or else the default one.
func New(ctx context.Context, config Config, deps handler.Deps) (*Handler, error) {
	template := config.KeyTemplate
	if template.segments == nil {
		if err := template.Decode(defaultTemplate); err != nil {
			return nil, fmt.Errorf("key template %w", err)
		}
	}
	address := config.BucketURL
	if address == "" {
		address = deps.DefaultBucketURL
	}
	bucket, err := blobstore.Open(ctx, address, blobstore.WithSpoolFolder(deps.SpoolFolder))
	if err != nil {
		return nil, err
	}
	return &Handler{
		fetch: deps.Fetch, refresh: deps.Refresh, bucket: bucket, template: template,
		maxBytes: int64(config.MaxBytes), maxPixels: config.MaxPixels, linkExpiry: config.LinkExpiry, redact: deps.Redact,
	}, nil
}

// Check tries whether the bucket takes images.
func (h *Handler) Check(ctx context.Context) error { return h.bucket.Check(ctx) }

// Close closes the bucket; no Handle may be under way.
func (h *Handler) Close() error { return h.bucket.Close() }

// Handle stores every image that the event offers and that is not stored yet, and
// then the manifest. An image that fails does not keep the others from being
// stored. The artifacts in the outcome are safe in the bucket.
func (h *Handler) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	renewal := &renewal{refresh: h.refresh, job: e.Job}
	results, omitted := e.Images()
	outcome := handler.Outcome{}
	if len(results) == 0 {
		address, err := renewal.missing(ctx, e)
		if err != nil {
			return outcome, err
		}
		results, outcome.ResultURL = []event.Result{{URL: address}}, address
	}
	stored, failures := h.images(ctx, e, results, renewal)
	outcome.Artifacts = stored
	switch {
	case ctx.Err() != nil:
		return outcome, interruption(ctx, failures)
	case len(failures) > 0:
		return outcome, verdict(failures, len(results))
	case omitted > 0:
		return outcome, tooMany(len(results), omitted)
	case has(e.Artifacts, manifestIndex, ""):
		return outcome, nil
	}
	manifest, err := h.manifest(ctx, e, stored)
	if err != nil {
		return outcome, err
	}
	outcome.Artifacts = append(outcome.Artifacts, manifest)
	return outcome, nil
}

// images stores what is missing, until the context ends.
func (h *Handler) images(ctx context.Context, e event.Event, results []event.Result, renewal *renewal) (stored []event.Artifact, failures []failure) {
	names := namesOf(results)
	for index, result := range results {
		source := event.RedactURL(result.URL)
		if has(e.Artifacts, index, source) {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		at := place{event: e, index: index, name: names[index]}
		artifact, err := h.image(ctx, at, result.URL)
		if isExpired(err) && result.IsRenewable(len(results)) {
			artifact, err = h.renewed(ctx, at, result.URL, renewal, err)
		}
		if err != nil {
			failures = append(failures, failure{index, err})
			continue
		}
		artifact.Source = source
		stored = append(stored, artifact)
	}
	return stored, failures
}

// has says whether an artifact of this handler is recorded already. That an address has
// another signature, or none, makes it no other image.
func has(artifacts []event.Artifact, index int, source string) bool {
	for _, a := range artifacts {
		if a.Handler == Name && a.Index == index && withoutQuery(a.Source) == withoutQuery(source) {
			return true
		}
	}
	return false
}

func withoutQuery(address string) string {
	path, _, _ := strings.Cut(address, "?")
	return path
}

// Open reads a stored image, for the handlers that come after.
func (h *Handler) Open(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error) {
	return h.bucket.Open(ctx, artifact.Key)
}

// Link is an address under which anybody can read a stored image for a while, or "" where the bucket cannot make one.
func (h *Handler) Link(ctx context.Context, artifact event.Artifact) (string, error) {
	link, err := h.bucket.SignedURL(ctx, artifact.Key, h.linkExpiry)
	if errors.Is(err, blobstore.ErrUnsupported) {
		return "", nil
	}
	return link, err
}
