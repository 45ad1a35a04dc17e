package forward

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
	"github.com/deepimage-receiver/receiver/internal/notification"
)

// images are those of one event: stored by an earlier handler, or fetched and in spools. All is
// known of them before the first byte is sent.
type images struct {
	list   []*image
	spools []*blobstore.Spool
}

// image is one of them.
type image struct {
	notification.Artifact
	open func(ctx context.Context) (io.ReadCloser, error)
}

func (i *images) close() {
	for _, spool := range i.spools {
		_ = spool.Close() // what it leaves is removed at the next start
	}
}

// images gets every image that the event offers.
func (h *Handler) images(ctx context.Context, e event.Event) (*images, error) {
	results, omitted := e.Images()
	if omitted > 0 {
		return nil, handler.Fail(event.ReasonTooLarge, fmt.Errorf(
			"the event offers %d images; at most %d are sent", len(results)+omitted, len(results)))
	}
	isFresh := len(results) == 0 // the vendor's word of now: there is no other to ask for
	if isFresh {
		var err error
		if results, err = h.missing(ctx, e); err != nil {
			return nil, err
		}
	}
	if h.config.Mode == ModeRaw && len(results) > 1 {
		return nil, handler.Fail(event.ReasonOther, fmt.Errorf(
			"the event has %d images, and a call in the mode raw carries one; RECEIVER_FORWARD_MODE=image carries all", len(results)))
	}
	found := &images{}
	for index, result := range results {
		made, err := h.image(ctx, e, index, result, found)
		if isExpired(err) && !isFresh && result.IsRenewable(len(results)) {
			made, err = h.renewed(ctx, e, index, result.URL, found, err)
		}
		if err != nil {
			found.close()
			return nil, sourceFailure(err)
		}
		found.list = append(found.list, made)
	}
	return found, nil
}

// image finds one image where it is stored, or fetches it.
func (h *Handler) image(ctx context.Context, e event.Event, index int, result event.Result, found *images) (*image, error) {
	for _, a := range e.Artifacts {
		if a.Index != index || a.Source != event.RedactURL(result.URL) || h.artifacts == nil {
			continue
		}
		stored, err := h.stored(ctx, a)
		if !errors.Is(err, blobstore.ErrNotFound) {
			return stored, err
		}
	}
	return h.fetched(ctx, index, result.URL, found)
}

// stored is an image in the bucket. It is opened once before, so that what is gone or was changed
// does not break a call that has begun.
func (h *Handler) stored(ctx context.Context, a event.Artifact) (*image, error) {
	object, err := h.artifacts.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := object.Close(); err != nil {
		return nil, err
	}
	if object.Bytes != a.Bytes {
		return nil, fmt.Errorf("the image under %q has %d bytes; %d were stored", a.Key, object.Bytes, a.Bytes)
	}
	return &image{
		Artifact: notification.Artifact{
			Handler: a.Handler, Index: a.Index, Key: a.Key, URL: a.URL,
			Bytes: a.Bytes, SHA256: a.SHA256, MediaType: a.MediaType, Width: a.Width, Height: a.Height,
		},
		open: func(ctx context.Context) (io.ReadCloser, error) { return h.artifacts.Open(ctx, a) },
	}, nil
}

// fetched is an image that is not stored: it is spooled, so that nothing is sent of one that breaks
// off or turns out to be something else.
func (h *Handler) fetched(ctx context.Context, index int, address string, found *images) (*image, error) {
	spool, err := h.spools.Spool(ctx)
	if err != nil {
		return nil, err
	}
	found.spools = append(found.spools, spool)
	if err := h.fetch.Get(ctx, fetch.Request{URL: address, MaxBytes: int64(h.config.MaxBytes)}, spool); err != nil {
		return nil, err
	}
	inspected, err := imagefile.Inspect(spool, spool.Size())
	if err != nil {
		return nil, handler.ImageFailure(err, spool)
	}
	if inspected.Pixels() > h.config.MaxPixels {
		return nil, handler.Fail(event.ReasonTooLarge, fmt.Errorf("the image has %d x %d pixels, more than the allowed %d "+
			"(RECEIVER_FORWARD_MAX_PIXELS is the limit)", inspected.Width, inspected.Height, h.config.MaxPixels))
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

// link sets the signed addresses of images, where the bucket can make one.
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
