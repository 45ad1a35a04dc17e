// Package forward is the handler that sends events to other systems by HTTP: to each
// target as a step of its own, signed by Standard Webhooks, as a JSON document, as a form
// with the images, or as the image itself. A target that fails again and again is
// left alone until a probe succeeds.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"golang.org/x/time/rate"
)

// Name is the handler's name, as it is listed and configured; the names of its steps begin with it.
const Name = "forward"

// Handler sends events to one target. It is safe for use by many goroutines.
type Handler struct {
	target    target
	config    Config
	header    http.Header // of every call
	signer    signer
	transport *http.Transport
	circuit   *circuit
	turns     *rate.Limiter
	veil      veil
	redact    func(body []byte) ([]byte, error)

	fetch     *fetch.Client
	refresh   handler.Refresh // nil without a key of the vendor's API
	artifacts handler.Artifacts
	spools    blobstore.Bucket // for images that are fetched; nil in mode event
}

// New makes the handler for the target whose step deps names. It connects to nothing yet.
func New(ctx context.Context, config Config, deps handler.Deps) (*Handler, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	target, err := config.target(deps.Step)
	if err != nil {
		return nil, err
	}
	signer, err := newSigner(config.Secrets)
	if err != nil {
		return nil, err
	}
	header, err := config.headers()
	if err != nil {
		return nil, err
	}
	h := &Handler{
		target: target, config: config, header: header, signer: signer,
		transport: newTransport(config),
		circuit:   newCircuit(target.host, config, deps.Log),
		turns:     rate.NewLimiter(rate.Limit(config.Rate), 1),
		veil:      newVeil(target, config),
		redact:    deps.Redact, fetch: deps.Fetch, refresh: deps.Refresh, artifacts: deps.Artifacts,
	}
	if config.Mode != ModeEvent {
		if h.spools, err = blobstore.Open(ctx, deps.DefaultBucketURL); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// target is the one whose step has this name.
func (c Config) target(step string) (target, error) {
	targets, err := c.targets()
	if err != nil {
		return target{}, err
	}
	for _, t := range targets {
		if t.step == step {
			return t, nil
		}
	}
	return target{}, fmt.Errorf("no target has the step %q", step)
}

// Close drops idle connections; no Handle may be under way.
func (h *Handler) Close() error {
	h.transport.CloseIdleConnections()
	if h.spools == nil {
		return nil
	}
	return h.spools.Close()
}

// Handle sends the event, unless the target is left alone at the moment. The target may get it
// more than once, always under the same webhook-id.
func (h *Handler) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return handler.Outcome{}, err
	}
	return h.circuit.do(func() (handler.Outcome, error) { return h.send(ctx, e) })
}

// send makes the call when its turn comes. What it needs of elsewhere is fetched before.
func (h *Handler) send(ctx context.Context, e event.Event) (handler.Outcome, error) {
	message, err := h.message(ctx, e)
	if err != nil {
		return handler.Outcome{}, &sourceError{err}
	}
	defer message.close()
	if err := h.turn(ctx); err != nil {
		return handler.Outcome{}, err
	}
	return h.call(ctx, e, message)
}

// turn waits for this call's turn in the rate.
func (h *Handler) turn(ctx context.Context) error {
	err := h.turns.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &sourceError{ctx.Err()}
	default: // the limiter knows already that the time will not be enough
		return handler.Defer(h.config.longestTurn(), event.CauseNone, event.ReasonRateLimited, errors.New("its turn would not have come in time (RECEIVER_FORWARD_RATE)"))
	}
}
