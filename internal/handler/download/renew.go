package download

import (
	"context"
	"fmt"
	"net/url"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// renewal asks the vendor where the result of a job is now, once in an attempt.
type renewal struct {
	refresh handler.Refresh // nil without a key
	job     string

	asked   bool
	address string
	err     error
}

// fresh is the vendor's answer.
func (r *renewal) fresh(ctx context.Context) (string, error) {
	if !r.asked {
		r.asked = true
		r.address, r.err = r.refresh(ctx, r.job)
	}
	return r.address, r.err
}

// keyAdvice is for those who have no key.
const keyAdvice = "with RECEIVER_DEEPIMAGE_API_KEY the receiver asks Deep Image for the address"

// missing finds an address for an event that names none.
func (r *renewal) missing(ctx context.Context, e event.Event) (string, error) {
	if r.refresh == nil {
		return "", withAdvice(noResult(e.ResultURL), keyAdvice)
	}
	address, err := r.fresh(ctx)
	if err != nil {
		return "", err
	}
	if found, err := url.Parse(address); err != nil || found.Host == "" || found.Scheme != "https" && found.Scheme != "http" {
		return "", noResult(address)
	}
	return address, nil
}

// renewed stores a result whose address has expired from the one that the vendor gives now. If that is the
// same, or has expired as well, it may be better later.
func (h *Handler) renewed(ctx context.Context, p place, before string, renewal *renewal, expired error) (event.Artifact, error) {
	if renewal.refresh == nil {
		return event.Artifact{}, withAdvice(expired, keyAdvice)
	}
	address, err := renewal.fresh(ctx)
	if err != nil {
		return event.Artifact{}, err
	}
	if address == before {
		return event.Artifact{}, handler.Retry(event.ReasonExpired, fmt.Errorf("%w; Deep Image gives the same address", expired))
	}
	artifact, err := h.image(ctx, p, address)
	if isExpired(err) {
		err = handler.Retry(event.ReasonExpired, fmt.Errorf("the fresh address of Deep Image: %w", err))
	}
	return artifact, err
}

// withAdvice appends what a person can do to a failure, whose meaning stays.
func withAdvice(err error, advice string) error {
	said := *handler.Classify(err)
	said.Err = handler.Advise(said.Err, advice)
	return &said
}
