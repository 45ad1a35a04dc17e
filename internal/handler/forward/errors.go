package forward

import (
	"context"
	"errors"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
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
	network := httpclient.Classify(err)
	reason := event.ReasonOther
	switch {
	case network.Class == httpclient.ClassTimeout:
		reason = event.ReasonTimeout
	case network.IsUnreachable():
		reason = event.ReasonUnreachable
	}
	return handler.Retry(reason, fmt.Errorf("%s %s", host, network.Text))
}

// sourceFailure gives an image that could not be had its meaning.
func sourceFailure(err error) error {
	if _, ok := errors.AsType[*handler.Error](err); ok {
		return err
	}
	if failed, ok := errors.AsType[*fetch.Error](err); ok {
		return handler.FetchFailure(failed, "RECEIVER_FORWARD_MAX_BYTES")
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, blobstore.ErrNotFound), errors.Is(err, errChanged):
		return handler.Fail(event.ReasonStorage, err)
	default:
		return handler.Retry(event.ReasonStorage, err)
	}
}
