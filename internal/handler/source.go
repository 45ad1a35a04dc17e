package handler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// ImageLimits bound the images that a handler fetches.
type ImageLimits struct {
	MaxBytes  int64
	MaxPixels int64
	Variables string // prefix of the variables that set them, for errors: RECEIVER_DOWNLOAD
	// Decoding is held while an image without its end marker is decoded. Without it no image is decoded.
	Decoding *sync.Mutex
	Shares   *fetch.Shares // of the transfers of the handler
}

// FetchImage fetches an address into the spool and inspects the image. Its error is classified. An image that lacks nothing but
// its end marker is accepted if the host sends the same bytes again: its writer left the marker out. The note says so.
func FetchImage(
	ctx context.Context, client *fetch.Client, address string, limits ImageLimits, spool *blobstore.Spool,
) (image imagefile.Image, note string, err error) {
	request := fetch.Request{URL: address, MaxBytes: limits.MaxBytes, Shares: limits.Shares}
	if err := client.Get(ctx, request, spool); err != nil {
		return imagefile.Image{}, "", limits.fetchFailure(address, err)
	}
	image, err = imagefile.Inspect(spool, spool.Size())
	if errors.Is(err, imagefile.ErrNoEnd) {
		note, err = limits.withoutEnd(ctx, client, request, spool, err)
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return imagefile.Image{}, "", err
	}
	if err != nil {
		return imagefile.Image{}, "", imageFailure(err, spool)
	}
	if image.Pixels() > limits.MaxPixels {
		return imagefile.Image{}, "", Fail(event.ReasonTooLarge, fmt.Errorf(
			"the image has %d x %d pixels, more than the allowed %d (%s_MAX_PIXELS is the limit)",
			image.Width, image.Height, limits.MaxPixels, limits.Variables))
	}
	return image, note, nil
}

// fetchFailure is FetchFailure for the URL of a result. One of localhost, as in the vendor's documentation, is a fault of
// the event and not of the setting: it fails where localhost is not allowed.
func (l ImageLimits) fetchFailure(resultURL string, err error) error {
	err = FetchFailure(err, l.Variables+"_MAX_BYTES")
	failure := Classify(err)
	if address, parsed := url.Parse(resultURL); parsed == nil && failure.Reason == event.ReasonHostNotAllowed && address.Hostname() == "localhost" {
		return Fail(failure.Reason, failure.Err)
	}
	return err
}

const (
	// maxDecodedBytes bounds the memory for an image that is decoded to see whether it is complete: JPEGs of 14 megapixels in one scan.
	maxDecodedBytes = 96 << 20
	decodeTimeout   = 10 * time.Second
)

// withoutEnd returns the note on an image that is accepted without its end marker, or missing, the error for that. The host has to send
// the same bytes again. Where the pixels cannot be checked, it has to announce their number, too.
func (l ImageLimits) withoutEnd(
	ctx context.Context, client *fetch.Client, request fetch.Request, spool *blobstore.Spool, missing error,
) (note string, err error) {
	checked, complete := l.checkPixels(ctx, spool)
	if checked && !complete {
		return "", missing
	}
	request.LengthRequired = !checked
	again := sha256.New()
	if err := client.Get(ctx, request, again); err != nil {
		return "", l.fetchFailure(request.URL, err)
	}
	if hex.EncodeToString(again.Sum(nil)) != spool.SHA256() {
		return "", missing
	}
	if checked {
		return "The image has no end marker. Its pixels are complete and the host sent the same bytes twice, so it was accepted.", nil
	}
	return "The image has no end marker. The host sent the same bytes twice and as many as announced, so it was accepted. " +
		"Look at it: its end may be missing.", nil
}

// checkPixels decodes a JPEG and reports whether all its pixels are there. It checks one image at a time, and none that takes too
// much memory or time, or that the decoder does not know.
func (l ImageLimits) checkPixels(ctx context.Context, spool *blobstore.Spool) (checked, complete bool) {
	frame, err := imagefile.JPEGFrame(spool, spool.Size())
	if err != nil || l.Decoding == nil || frame.DecodedBytes()+4*int64(frame.Width)*int64(frame.Height) > maxDecodedBytes {
		return false, false
	}
	l.Decoding.Lock()
	defer l.Decoding.Unlock()
	ctx, cancel := context.WithTimeout(ctx, decodeTimeout)
	defer cancel()
	const end = "\xff\xd9"
	file := io.NewSectionReader(spool, 0, spool.Size())
	_, err = jpeg.Decode(untilDone{ctx, io.MultiReader(file, strings.NewReader(end))})
	if _, unsupported := errors.AsType[jpeg.UnsupportedError](err); unsupported || ctx.Err() != nil {
		return false, false
	}
	return true, err == nil
}

// untilDone reads until the context ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

// Read reads a few bytes at a time: each can cost the work of going over all pixels.
func (r untilDone) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p[:min(len(p), 1<<10)])
}

// Renewal replaces the result URL of a job that has expired or is missing. It asks the vendor at most once. It belongs
// to one attempt and is not safe for concurrent use.
type Renewal struct {
	refresh  Refresh // nil without an API key
	job      string
	received time.Time

	asked bool
	url   string
	err   error
}

// NewRenewal returns a Renewal for an event. A nil refresh stands for a receiver without an API key.
func NewRenewal(refresh Refresh, e event.Event) *Renewal {
	return &Renewal{refresh: refresh, job: e.Job, received: e.Received}
}

// publicationTime is how long after the callback a host may still deny a result that it is about to publish.
const publicationTime = 10 * time.Minute

// missing returns the error of a result that has expired or is missing, whose URL cannot be renewed. While the event is
// minutes old the host may just not have the file yet: then the step is held.
func (r *Renewal) missing(expired error) error {
	if time.Since(r.received) >= publicationTime {
		return expired
	}
	return Hold(0, event.ReasonExpired, fmt.Errorf("%w; it may not be there yet, because the callback came minutes ago", Classify(expired).Err))
}

// keyAdvice is for a receiver without an API key.
const keyAdvice = "with RECEIVER_DEEPIMAGE_API_KEY the receiver asks Deep Image for the address"

// current returns what the vendor reports as the result URL.
func (r *Renewal) current(ctx context.Context) (string, error) {
	if !r.asked {
		r.asked = true
		if r.url, r.err = r.refresh(ctx, r.job); errors.Is(r.err, ErrUnknownJob) {
			r.err = r.missing(r.err)
		}
	}
	return r.url, r.err
}

// Missing returns the result of an event that names no image URL itself.
func (r *Renewal) Missing(ctx context.Context, e event.Event) (event.Result, error) {
	if r.refresh == nil {
		return event.Result{}, Advise(noResult(e.ResultURL), keyAdvice)
	}
	url, err := r.current(ctx)
	if err != nil {
		return event.Result{}, err
	}
	results, _ := event.Event{ResultURL: url}.Images()
	if len(results) == 0 {
		return event.Result{}, noResult(url)
	}
	return results[0], nil
}

// noResult reports that url is not one that can be fetched. A callback that names another URL is another event.
func noResult(url string) error {
	text := "the callback names no address of an image"
	if strings.HasPrefix(url, "storage://") {
		text = "the result is in the storage that the request named (storage://), not at an address that can be fetched"
	}
	return Fail(event.ReasonNoResult, errors.New(text))
}

// Fetch calls fetch with the URL of a result, which is one of count results of its event. If that has expired and the
// vendor reports another URL, it calls fetch once more. Without a URL to replace it the step is held for the first
// minutes of the event. The errors of fetch must be classified.
func (r *Renewal) Fetch(ctx context.Context, result event.Result, count int, fetch func(url string) error) error {
	expired := fetch(result.URL)
	switch {
	case !isExpired(expired):
		return expired
	case !result.IsRenewable(count):
		return r.missing(expired)
	case r.refresh == nil:
		return Advise(r.missing(expired), keyAdvice)
	}
	url, err := r.current(ctx)
	if err != nil {
		return err
	}
	if url == result.URL {
		return Retry(event.ReasonExpired, fmt.Errorf("%w; Deep Image reports the same address", expired))
	}
	if err := fetch(url); isExpired(err) {
		return Retry(event.ReasonExpired, fmt.Errorf("the current address at Deep Image: %w", err))
	} else if err != nil {
		return err
	}
	return nil
}

func isExpired(err error) bool {
	failure := Classify(err)
	return failure != nil && failure.Reason == event.ReasonExpired
}
