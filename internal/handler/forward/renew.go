package forward

import (
	"context"
	"errors"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// keyAdvice is for those who have no key.
const keyAdvice = "with RECEIVER_DEEPIMAGE_API_KEY the receiver asks Deep Image for the address"

// missing finds the image of an event that names no address: the vendor may know one.
func (h *Handler) missing(ctx context.Context, e event.Event) ([]event.Result, error) {
	noResult := errors.New("the event names no address of an image")
	if h.refresh == nil {
		return nil, handler.Fail(event.ReasonNoResult, handler.Advise(noResult, keyAdvice))
	}
	address, err := h.refresh(ctx, e.Job)
	if err != nil {
		return nil, err
	}
	results, _ := event.Event{ResultURL: address}.Images()
	if len(results) == 0 {
		return nil, handler.Fail(event.ReasonNoResult, noResult)
	}
	return results, nil
}

// renewed fetches an image whose address has expired from the one that the vendor gives now, once.
func (h *Handler) renewed(ctx context.Context, e event.Event, index int, before string, found *images, expired error) (*image, error) {
	if h.refresh == nil {
		return nil, handler.Fail(event.ReasonExpired, handler.Advise(sourceFailure(expired), keyAdvice))
	}
	address, err := h.refresh(ctx, e.Job)
	if err != nil {
		return nil, err
	}
	if address == before {
		return nil, handler.Retry(event.ReasonExpired, fmt.Errorf("%w; Deep Image gives the same address", sourceFailure(expired)))
	}
	fetched, err := h.fetched(ctx, index, address, found)
	if isExpired(err) {
		err = handler.Retry(event.ReasonExpired, fmt.Errorf("the fresh address of Deep Image: %w", sourceFailure(err)))
	}
	return fetched, err
}

func isExpired(err error) bool {
	if err == nil {
		return false
	}
	failed := handler.Classify(sourceFailure(err))
	return failed != nil && failed.Reason == event.ReasonExpired
}
