package download

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// place is where an image belongs, whatever address it comes from.
type place struct {
	event event.Event
	index int // among the event's results
	name  name
}

// image stores one result. The artifact lacks its source.
func (h *Handler) image(ctx context.Context, p place, address string) (event.Artifact, error) {
	spool, err := h.bucket.Spool(ctx)
	if err != nil {
		return event.Artifact{}, storeFailure(err)
	}
	defer func() { _ = spool.Close() }() // what it leaves is removed at the next start
	if err := h.fetch.Get(ctx, fetch.Request{URL: address, MaxBytes: h.maxBytes}, spool); err != nil {
		return event.Artifact{}, fetchFailure(err)
	}
	image, err := h.inspect(spool)
	if err != nil {
		return event.Artifact{}, err
	}
	key := h.template.keyOf(p.event, p.name, p.index, strings.TrimPrefix(image.Extension, "."))
	artifact, err := h.put(ctx, spool, image.MediaType, key, withHash(key, spool.SHA256()))
	artifact.Index, artifact.Width, artifact.Height = p.index, image.Width, image.Height
	return artifact, err
}

// inspect lets through what is a whole image of a kind we know, with no more pixels than allowed.
func (h *Handler) inspect(spool *blobstore.Spool) (imagefile.Image, error) {
	image, err := imagefile.Inspect(spool, spool.Size())
	if err != nil {
		return imagefile.Image{}, handler.ImageFailure(err, spool)
	}
	if image.Pixels() > h.maxPixels {
		return imagefile.Image{}, tooManyPixels(image, h.maxPixels)
	}
	return image, nil
}

// put stores the spool under the first of the keys that does not hold something else.
func (h *Handler) put(ctx context.Context, spool *blobstore.Spool, mediaType string, keys ...string) (event.Artifact, error) {
	attributes := blobstore.Attributes{MediaType: mediaType, SHA256: spool.SHA256()}
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
