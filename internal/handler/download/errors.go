package download

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// noResult says why there is nothing to download. Another body for the same job is another event.
func noResult(resultURL string) error {
	text := "the callback names no address of an image"
	if strings.HasPrefix(resultURL, "storage://") {
		text = "the result is in the storage that the request named (storage://), not at an address that can be fetched"
	}
	return handler.Permanent(event.ReasonNoResult, errors.New(text))
}

func isExpired(err error) bool {
	failed := handler.Failure(err)
	return failed != nil && failed.Reason == event.ReasonExpired
}

// fetchFailure gives a failed transfer its meaning.
func fetchFailure(err error) error {
	failed, is := errors.AsType[*fetch.Error](err)
	if !is {
		return handler.Retry(event.ReasonOther, err)
	}
	switch failed.Kind {
	case fetch.KindBlockedAddress:
		return handler.Permanent(event.ReasonBlockedAddress, advise(err, "RECEIVER_FETCH_ALLOWED_CIDRS allows private networks"))
	case fetch.KindHostNotAllowed:
		return handler.Permanent(event.ReasonHostNotAllowed,
			advise(err, "RECEIVER_FETCH_ALLOWED_HOSTS and RECEIVER_FETCH_ALLOW_HTTP say what is allowed"))
	case fetch.KindInvalidURL:
		return handler.Permanent(event.ReasonOther, err)
	case fetch.KindTooLarge:
		return handler.Permanent(event.ReasonTooLarge, advise(err, "RECEIVER_DOWNLOAD_MAX_BYTES is the limit"))
	case fetch.KindStatus:
		return statusFailure(failed)
	default:
		return handler.Retry(reasonOf(failed.Kind), err)
	}
}

// reasonOf is for what may be better at the next attempt: networks are repaired,
// certificates renewed, disks emptied.
func reasonOf(kind fetch.Kind) event.Reason {
	switch kind {
	case fetch.KindTruncated:
		return event.ReasonTruncated
	case fetch.KindTimeout:
		return event.ReasonTimeout
	case fetch.KindEncoding:
		return event.ReasonWrongType
	case fetch.KindWrite:
		return event.ReasonStorage
	default:
		return event.ReasonOther
	}
}

// statusFailure gives an error answer its meaning. What is forbidden or gone stays
// so at the same address; object stores answer 403 for what has expired or is missing.
func statusFailure(failed *fetch.Error) error {
	switch status := failed.Status; {
	case status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusGone:
		return handler.Permanent(event.ReasonExpired, advise(failed, "the result has expired or was removed"))
	case status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired:
		return handler.Permanent(event.ReasonAuth, failed)
	case status == http.StatusRequestTimeout:
		return later(event.ReasonTimeout, failed)
	case status == http.StatusTooEarly || status == http.StatusTooManyRequests:
		return later(event.ReasonRateLimited, failed)
	case status >= http.StatusInternalServerError:
		return later(event.ReasonServerError, failed)
	default:
		return handler.Permanent(event.ReasonOther, failed)
	}
}

// later keeps to what the server asked for, if it asked.
func later(reason event.Reason, failed *fetch.Error) error {
	return handler.RetryAfter(failed.RetryAfter, reason, failed)
}

// inspectFailure gives a file that is no whole image its meaning. One that is known to be
// something else stays so. A page or text of any kind may stand there for a while
// only: that is how servers speak of maintenance when they forget the status.
func inspectFailure(err error, spool *blobstore.Spool) error {
	switch {
	case errors.Is(err, imagefile.ErrTruncated):
		return handler.Retry(event.ReasonTruncated, errors.New(sentence(err)))
	case !errors.Is(err, imagefile.ErrUnknown):
		return handler.Retry(event.ReasonStorage, err) // the spool cannot be read
	}
	head := make([]byte, min(spool.Size(), describedBytes))
	if _, err := spool.ReadAt(head, 0); err != nil {
		return handler.Retry(event.ReasonStorage, err)
	}
	found := imagefile.Describe(head)
	err = fmt.Errorf("the file looks like %s; it is %s", found, sentence(err))
	if mayPass(found) {
		return handler.Retry(event.ReasonWrongType, err)
	}
	return handler.Permanent(event.ReasonWrongType, err)
}

// describedBytes is how much of a file is enough to say what it looks like.
const describedBytes = 512

// sentence is an error of package imagefile without the package's name.
func sentence(err error) string { return strings.TrimPrefix(err.Error(), "imagefile: ") }

func mayPass(mediaType string) bool {
	return strings.HasPrefix(mediaType, "text/") || mediaType == "application/json" || !strings.Contains(mediaType, "/")
}

func tooManyPixels(image imagefile.Image, limit int64) error {
	return handler.Permanent(event.ReasonTooLarge, fmt.Errorf(
		"the image has %d x %d pixels, more than the allowed %d (RECEIVER_DOWNLOAD_MAX_PIXELS is the limit)", image.Width, image.Height, limit))
}

// storeFailure gives a bucket's refusal its meaning.
func storeFailure(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, blobstore.ErrKey) || errors.Is(err, blobstore.ErrConflict) {
		return handler.Permanent(event.ReasonStorage, err)
	}
	return handler.Retry(event.ReasonStorage, err)
}

// advise appends what a person can do or should know.
func advise(err error, advice string) error { return fmt.Errorf("%w (%s)", err, advice) }
