package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// place is where an image belongs, whatever URL it comes from.
type place struct {
	event event.Event
	index int // among the event's results
	name  name
}

// image fetches and stores one result. The artifact lacks its source. The note is for the history. The error is classified.
func (h *Handler) image(ctx context.Context, p place, url string) (artifact event.Artifact, note string, err error) {
	if err := h.check.ensure(ctx); err != nil {
		return event.Artifact{}, "", storeFailure(err)
	}
	spool, err := h.bucket.Spool(ctx)
	if err != nil {
		return event.Artifact{}, "", storeFailure(err)
	}
	defer func() { _ = spool.Close() }() // leftover files are removed at the next start
	image, note, err := handler.FetchImage(ctx, h.fetch, url, h.limits, spool)
	if err != nil {
		return event.Artifact{}, "", err
	}
	key := h.template.keyOf(p.event, p.name, p.index, strings.TrimPrefix(image.Extension, "."))
	artifact, err = h.put(ctx, spool, image.MediaType, key, withHash(key, spool.SHA256()))
	artifact.Index, artifact.Width, artifact.Height = p.index, image.Width, image.Height
	return artifact, note, err
}

// intact returns the artifacts without those of this handler that are missing in the bucket or changed there. The error is classified.
func (h *Handler) intact(ctx context.Context, artifacts []event.Artifact) ([]event.Artifact, error) {
	kept := make([]event.Artifact, 0, len(artifacts))
	for _, a := range artifacts {
		if a.Handler == Name {
			ok, err := h.isIntact(ctx, a)
			if err != nil {
				return nil, storeFailure(err)
			}
			if !ok {
				continue
			}
		}
		kept = append(kept, a)
	}
	return kept, nil
}

// isIntact reports whether the bucket holds an artifact, with its length and its SHA-256.
func (h *Handler) isIntact(ctx context.Context, a event.Artifact) (bool, error) {
	object, err := h.bucket.Open(ctx, a.Key)
	if errors.Is(err, blobstore.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = object.Close() }()
	if object.Bytes != a.Bytes {
		return false, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, object); err != nil {
		return false, err
	}
	return hex.EncodeToString(sum.Sum(nil)) == a.SHA256, nil
}

// put stores the spool under the first of the keys that is free or has the same content. It leaves the name to sync.
func (h *Handler) put(ctx context.Context, spool *blobstore.Spool, mediaType string, keys ...string) (event.Artifact, error) {
	attributes := blobstore.Attributes{MediaType: mediaType, SHA256: spool.SHA256(), Unsynced: true}
	var err error
	for _, key := range keys {
		err = h.bucket.Put(ctx, key, spool, attributes)
		if err == nil {
			return event.Artifact{
				Handler: Name, Key: key, URL: h.bucket.URL(key),
				Bytes: spool.Size(), SHA256: attributes.SHA256, MediaType: mediaType,
				Stored: time.Now().UTC().Truncate(time.Microsecond),
			}, nil
		}
		if !errors.Is(err, blobstore.ErrConflict) && !errors.Is(err, blobstore.ErrKey) {
			break
		}
	}
	return event.Artifact{}, storeFailure(err)
}

// storeFailure classifies an error of the bucket: a key that is taken or not valid stays so. A bucket that does not answer
// before the deadline of the attempt is an outage.
func storeFailure(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && handler.Classify(err).Action == event.ActionRetry {
		return handler.Outage(event.ReasonTimeout, fmt.Errorf("the bucket did not answer before the deadline: %w", err))
	}
	return handler.StorageFailure(err, blobstore.ErrKey, blobstore.ErrConflict)
}
