package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// sourceError is a failure of what a call needs of elsewhere: it says nothing of the target.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// callFailure gives a call without an answer its meaning. What the transport says goes no
// further: it can quote what was sent.
func (h *Handler) callFailure(ctx context.Context, sent *body, err error) error {
	host := h.target.host
	switch failed := sent.failure(); {
	case errors.Is(context.Cause(ctx), errSilent):
		return handler.Retry(event.ReasonTimeout, fmt.Errorf("%s did nothing for %s (RECEIVER_FORWARD_TIMEOUT)", host, h.config.Timeout))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return handler.Retry(event.ReasonTimeout, fmt.Errorf("the time was over before %s had answered: %w", host, ctx.Err()))
	case ctx.Err() != nil:
		return fmt.Errorf("the call to %s was called off: %w", host, ctx.Err())
	case failed != nil:
		return &sourceError{sourceFailure(failed)}
	}
	if timeout, is := errors.AsType[net.Error](err); is && timeout.Timeout() {
		return handler.Retry(event.ReasonTimeout, fmt.Errorf("%s could not be connected to in time", host))
	}
	return handler.Retry(event.ReasonOther, fmt.Errorf("%s %s", host, fetch.Explain(err)))
}

// sourceFailure gives an image that could not be had its meaning.
func sourceFailure(err error) error {
	if _, is := errors.AsType[*handler.Error](err); is {
		return err
	}
	if failed, is := errors.AsType[*fetch.Error](err); is {
		return fetchFailure(failed)
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, imagefile.ErrTruncated):
		return handler.Retry(event.ReasonTruncated, plain(err))
	case errors.Is(err, blobstore.ErrNotFound), errors.Is(err, errChanged):
		return handler.Permanent(event.ReasonStorage, err)
	default:
		return handler.Retry(event.ReasonStorage, err)
	}
}

// fetchFailure gives a failed transfer its meaning.
func fetchFailure(failed *fetch.Error) error {
	switch failed.Kind {
	case fetch.KindBlockedAddress:
		return handler.Permanent(event.ReasonBlockedAddress, advised(failed, "RECEIVER_FETCH_ALLOWED_CIDRS allows private networks"))
	case fetch.KindHostNotAllowed:
		return handler.Permanent(event.ReasonHostNotAllowed,
			advised(failed, "RECEIVER_FETCH_ALLOWED_HOSTS and RECEIVER_FETCH_ALLOW_HTTP say what is allowed"))
	case fetch.KindInvalidURL:
		return handler.Permanent(event.ReasonOther, failed)
	case fetch.KindTooLarge:
		return handler.Permanent(event.ReasonTooLarge, advised(failed, "RECEIVER_FORWARD_MAX_BYTES is the limit"))
	case fetch.KindStatus:
		return resultFailure(failed)
	case fetch.KindTruncated:
		return handler.Retry(event.ReasonTruncated, failed)
	case fetch.KindTimeout:
		return handler.Retry(event.ReasonTimeout, failed)
	case fetch.KindEncoding:
		return handler.Retry(event.ReasonWrongType, failed)
	case fetch.KindWrite:
		return handler.Retry(event.ReasonStorage, failed)
	default:
		return handler.Retry(event.ReasonOther, failed)
	}
}

// resultFailure is for the status of a result's host. Object stores answer 403 for what has expired or is missing.
func resultFailure(failed *fetch.Error) error {
	switch failed.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return handler.Permanent(event.ReasonExpired, advised(failed, "the result has expired or was removed"))
	default:
		return statusFailure(failed.Status, failed.RetryAfter, failed)
	}
}

// noImage gives a file that is no image its meaning. A page or a text may stand there for a
// while only: that is how servers speak of maintenance when they forget the status.
func noImage(err error, spool *blobstore.Spool) error {
	if !errors.Is(err, imagefile.ErrUnknown) {
		return err
	}
	head := make([]byte, min(spool.Size(), 512)) // enough to say what it looks like
	if _, err := spool.ReadAt(head, 0); err != nil {
		return err
	}
	found := imagefile.Describe(head)
	err = fmt.Errorf("the file looks like %s; it is %w", found, plain(err))
	if strings.HasPrefix(found, "text/") || found == "application/json" || !strings.Contains(found, "/") {
		return handler.Retry(event.ReasonWrongType, err)
	}
	return handler.Permanent(event.ReasonWrongType, err)
}

// plain is an error of package imagefile without the package's name.
func plain(err error) error { return errors.New(strings.TrimPrefix(err.Error(), "imagefile: ")) }

// advised appends what a person can do or should know.
func advised(err error, advice string) error { return fmt.Errorf("%w (%s)", err, advice) }
