// Package download is the handler that stores the images of an event. Each image is fetched into a spool and checked
// there; it gets its name in the bucket only when it is whole. A manifest beside the images lists what was stored.
package download

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Name is the name of the handler and of its step.
const Name = handler.Download

// Handler stores images. It is safe for concurrent use.
type Handler struct {
	fetch      *fetch.Client
	refresh    handler.Refresh // nil without an API key
	bucket     blobstore.Bucket
	check      *bucketCheck
	template   Template
	limits     handler.ImageLimits
	linkExpiry time.Duration
	redact     func(body []byte) ([]byte, error)
}

// New opens the bucket of the configuration, or the default one.
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
	warn := func(err error) {
		deps.Log.Warn().Err(err).Msg("folder sync not supported, a crash can lose names of images")
	}
	bucket, err := blobstore.Open(ctx, address, blobstore.WithSpoolFolder(deps.SpoolFolder), blobstore.WithWarnings(warn),
		blobstore.WithModes(config.FileMode.FileMode(), config.FolderMode.FileMode()))
	if err != nil {
		return nil, err
	}
	return &Handler{
		fetch: deps.Fetch, refresh: deps.Refresh, bucket: bucket, check: &bucketCheck{bucket: bucket},
		template: template, linkExpiry: config.LinkExpiry, redact: deps.Redact,
		limits: handler.ImageLimits{
			MaxBytes: int64(config.MaxBytes), MaxPixels: config.MaxPixels, Variables: "RECEIVER_DOWNLOAD", Decoding: &sync.Mutex{},
			Shares: config.shares(),
		},
	}, nil
}

// Check returns an error if the bucket does not accept images.
func (h *Handler) Check(ctx context.Context) error { return h.check.run(ctx) }

// Folder returns the folder in which images are stored, or "" if they are not in a folder.
func (h *Handler) Folder() string { return blobstore.Folder(h.bucket) }

// Close closes the bucket. It must not be called during Handle.
func (h *Handler) Close() error { return h.bucket.Close() }

// Handle stores every image of the event that is not stored yet, and then the manifest. An image that fails does not
// keep the others from being stored. The artifacts of the outcome are durable in the bucket. After a person has replayed
// the event, it also looks at what is recorded as stored, and stores again what is missing or changed.
func (h *Handler) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	outcome, err := h.store(ctx, e)
	if failed := h.sync(ctx, outcome.Artifacts); failed != nil {
		outcome.Artifacts = nil
		return outcome, failed
	}
	return outcome, err
}

// sync makes the artifacts durable: all of an event share the syncs of their folders. The error is classified.
func (h *Handler) sync(ctx context.Context, artifacts []event.Artifact) error {
	keys := make([]string, len(artifacts))
	for i, a := range artifacts {
		keys[i] = a.Key
	}
	if err := h.bucket.Sync(context.WithoutCancel(ctx), keys...); err != nil {
		return storeFailure(err)
	}
	return nil
}

// store is Handle without the sync.
func (h *Handler) store(ctx context.Context, e event.Event) (handler.Outcome, error) {
	if e.Recheck {
		var err error
		if e.Artifacts, err = h.intact(ctx, e.Artifacts); err != nil {
			return handler.Outcome{}, err
		}
	}
	renewal := handler.NewRenewal(h.refresh, e)
	results, omitted := e.Images()
	outcome := handler.Outcome{}
	if len(results) == 0 {
		result, err := renewal.Missing(ctx, e)
		if err != nil {
			return outcome, err
		}
		results, outcome.ResultURL = []event.Result{result}, result.URL
	}
	stored, notes, failures := h.images(ctx, e, results, renewal)
	outcome.Artifacts, outcome.Detail = stored, strings.Join(slices.Compact(notes), " ")
	switch {
	case ctx.Err() != nil:
		return outcome, interruption(ctx, failures)
	case len(failures) > 0:
		return outcome, combine(failures, len(results))
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

// images stores the images that are not stored yet, until the context ends.
func (h *Handler) images(
	ctx context.Context, e event.Event, results []event.Result, renewal *handler.Renewal,
) (stored []event.Artifact, notes []string, failures []failure) {
	names := namesOf(results)
	for index, result := range results {
		source := event.RedactURL(result.URL)
		if has(e.Artifacts, index, source) {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		var artifact event.Artifact
		var note string
		err := renewal.Fetch(ctx, result, len(results), func(url string) (err error) {
			artifact, note, err = h.image(ctx, place{event: e, index: index, name: names[index]}, url)
			return err
		})
		if err != nil {
			failures = append(failures, failure{index, err})
			continue
		}
		artifact.Source = source
		stored = append(stored, artifact)
		if note != "" {
			notes = append(notes, note)
		}
	}
	return stored, notes, failures
}

// has reports whether an artifact of this handler is recorded already. A URL with another signature is the same image.
func has(artifacts []event.Artifact, index int, source string) bool {
	for _, a := range artifacts {
		if a.Handler == Name && a.Index == index && withoutQuery(a.Source) == withoutQuery(source) {
			return true
		}
	}
	return false
}

func withoutQuery(url string) string {
	path, _, _ := strings.Cut(url, "?")
	return path
}

// Open opens a stored image for the handlers that follow.
func (h *Handler) Open(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error) {
	return h.bucket.Open(ctx, artifact.Key)
}

// Delete deletes a stored image.
func (h *Handler) Delete(ctx context.Context, artifact event.Artifact) error {
	return h.bucket.Delete(ctx, artifact.Key)
}

// Link returns a URL under which anyone can read a stored image for a limited time, or "" if the bucket has none.
func (h *Handler) Link(ctx context.Context, artifact event.Artifact) (string, error) {
	link, err := h.bucket.SignedURL(ctx, artifact.Key, h.linkExpiry)
	if errors.Is(err, blobstore.ErrUnsupported) {
		return "", nil
	}
	return link, err
}
