package forward

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/notification"
)

// images are the images of one event: stored by an earlier handler, or fetched into spools. Their properties are known
// before the first byte is sent.
type images struct {
	list   []*image
	spools []*blobstore.Spool
}

// image is one image of an event.
type image struct {
	notification.Artifact
	open func(ctx context.Context) (io.ReadCloser, error)
}

func (i *images) close() {
	for _, spool := range i.spools {
		_ = spool.Close() // leftover files are removed at the next start
	}
}

// sourceFailure classifies an error of an image: one that is missing or was changed fails.
func sourceFailure(err error) error {
	return handler.StorageFailure(err, blobstore.ErrNotFound, errChanged)
}

// images returns every image of the event. Its error is classified.
func (h *Handler) images(ctx context.Context, e event.Event) (*images, error) {
	results, omitted := e.Images()
	if omitted > 0 {
		return nil, handler.Fail(event.ReasonTooLarge, fmt.Errorf(
			"the event offers %d images; at most %d are sent", len(results)+omitted, len(results)))
	}
	renewal := handler.NewRenewal(h.refresh, e)
	if len(results) == 0 {
		result, err := renewal.Missing(ctx, e)
		if err != nil {
			return nil, err
		}
		results = []event.Result{result}
	}
	if h.config.Mode == ModeRaw && len(results) > 1 {
		return nil, handler.Fail(event.ReasonOther, fmt.Errorf(
			"the event has %d images, and mode raw sends one; RECEIVER_FORWARD_MODE=image sends all", len(results)))
	}
	found := &images{}
	for index, result := range results {
		var made *image
		err := renewal.Fetch(ctx, result, len(results), func(url string) (err error) {
			made, err = h.image(ctx, e, index, url, found)
			return err
		})
		if err != nil {
			found.close()
			return nil, err
		}
		found.list = append(found.list, made)
	}
	return found, nil
}

// image returns one image from the bucket, or fetches it.
func (h *Handler) image(ctx context.Context, e event.Event, index int, url string, found *images) (*image, error) {
	for _, a := range e.Artifacts {
		if a.Index != index || a.Source != event.RedactURL(url) || h.artifacts == nil {
			continue
		}
		stored, err := h.stored(ctx, a)
		if !errors.Is(err, blobstore.ErrNotFound) {
			return stored, sourceFailure(err)
		}
	}
	return h.fetched(ctx, index, url, found)
}

// stored returns an image in the bucket. It is opened once in advance, so that a missing or changed image does not break
// a request under way.
func (h *Handler) stored(ctx context.Context, a event.Artifact) (*image, error) {
	object, err := h.artifacts.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := object.Close(); err != nil {
		return nil, err
	}
	if object.Bytes != a.Bytes {
		return nil, handler.Retry(event.ReasonStorage, fmt.Errorf("the image under %q has %d bytes; %d were stored", a.Key, object.Bytes, a.Bytes))
	}
	return &image{
		Artifact: notification.Artifact{
			Handler: a.Handler, Index: a.Index, Key: a.Key, URL: a.URL,
			Bytes: a.Bytes, SHA256: a.SHA256, MediaType: a.MediaType, Width: a.Width, Height: a.Height,
		},
		open: func(ctx context.Context) (io.ReadCloser, error) { return h.artifacts.Open(ctx, a) },
	}, nil
}

// fetched returns an image that is not stored. It is spooled, so that only whole and checked images are sent.
func (h *Handler) fetched(ctx context.Context, index int, url string, found *images) (*image, error) {
	spool, err := h.spools.Spool(ctx)
	if err != nil {
		return nil, sourceFailure(err)
	}
	found.spools = append(found.spools, spool)
	limits := handler.ImageLimits{
		MaxBytes: int64(h.config.MaxBytes), MaxPixels: h.config.MaxPixels, Variables: "RECEIVER_FORWARD", Decoding: &h.decoding, Shares: h.shares,
	}
	inspected, _, err := handler.FetchImage(ctx, h.fetch, url, limits, spool)
	if err != nil {
		return nil, err
	}
	return &image{
		Artifact: notification.Artifact{
			Handler: Name, Index: index, Bytes: spool.Size(), SHA256: spool.SHA256(),
			MediaType: inspected.MediaType, Width: inspected.Width, Height: inspected.Height,
		},
		open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(spool, 0, spool.Size())), nil
		},
	}, nil
}

// link sets the signed links of images, if the bucket supports them.
func (h *Handler) link(ctx context.Context, e event.Event, artifacts []notification.Artifact) error {
	if h.artifacts == nil {
		return nil
	}
	for i := range artifacts {
		for _, a := range e.Artifacts {
			if a.Handler != artifacts[i].Handler || a.Index != artifacts[i].Index {
				continue
			}
			link, err := h.artifacts.Link(ctx, a)
			if err != nil && !errors.Is(err, blobstore.ErrNotFound) {
				return sourceFailure(err)
			}
			artifacts[i].Link = link
		}
	}
	return nil
}
