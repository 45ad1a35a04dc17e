package download

import (
	"context"
	"errors"
	"fmt"
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
	return handler.Fail(event.ReasonNoResult, errors.New(text))
}

func isExpired(err error) bool {
	failed := handler.Classify(err)
	return failed != nil && failed.Reason == event.ReasonExpired
}

// fetchFailure gives a failed transfer its meaning.
func fetchFailure(err error) error {
	failed, ok := errors.AsType[*fetch.Error](err)
	if !ok {
		return handler.Retry(event.ReasonOther, err)
	}
	return handler.FetchFailure(failed, "RECEIVER_DOWNLOAD_MAX_BYTES")
}

func tooManyPixels(image imagefile.Image, limit int64) error {
	return handler.Fail(event.ReasonTooLarge, fmt.Errorf(
		"the image has %d x %d pixels, more than the allowed %d (RECEIVER_DOWNLOAD_MAX_PIXELS is the limit)", image.Width, image.Height, limit))
}

// storeFailure gives a bucket's refusal its meaning.
func storeFailure(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, blobstore.ErrKey) || errors.Is(err, blobstore.ErrConflict) {
		return handler.Fail(event.ReasonStorage, err)
	}
	return handler.Retry(event.ReasonStorage, err)
}
