// Package forward is the handler that sends events to other systems over HTTP. Each target is a step of its own. A
// request is signed (Standard Webhooks) and carries a JSON document, a form with the images, or the image itself. A
// circuit breaker defers the steps of a target that keeps failing.
package forward

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"golang.org/x/time/rate"
)

// Name is the name of the handler. The names of its steps begin with it.
const Name = "forward"

// Handler sends events to one target. It is safe for concurrent use.
type Handler struct {
	target    target
	config    Config
	header    http.Header // of every request
	signer    signer
	transport *http.Transport
	circuit   *circuit
	worked    atomic.Bool // the target has accepted an event
	limiter   *rate.Limiter
	redactor  redactor

	fetch     *fetch.Client
	refresh   handler.Refresh // nil without an API key
	artifacts handler.Artifacts
	spools    blobstore.Bucket // for fetched images; nil in mode event
	redact    func(body []byte) ([]byte, error)
	decoding  sync.Mutex // held while an image is decoded to see whether it is complete
	shares    *fetch.Shares
}

// New makes the handler for the target of the step that deps names. It does not connect.
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
		limiter:   rate.NewLimiter(rate.Limit(config.Rate), 1),
		redactor:  newRedactor(target, config, deps.Redact),
		redact:    deps.Redact, fetch: deps.Fetch, refresh: deps.Refresh, artifacts: deps.Artifacts, shares: fetch.NewShares(config.Concurrency),
	}
	if config.Mode != ModeEvent {
		if h.spools, err = blobstore.Open(ctx, deps.DefaultBucketURL); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Close closes idle connections. It must not be called during Handle.
func (h *Handler) Close() error {
	h.transport.CloseIdleConnections()
	if h.spools == nil {
		return nil
	}
	return h.spools.Close()
}

// Handle sends the event, unless the circuit breaker defers it. The target may get an event more than once, always with
// the same webhook-id.
func (h *Handler) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return handler.Outcome{}, err
	}
	return h.circuit.do(func() (handler.Outcome, error) { return h.send(ctx, e) })
}

// send makes the message, waits for the rate limit and posts it.
func (h *Handler) send(ctx context.Context, e event.Event) (handler.Outcome, error) {
	message, err := h.message(ctx, e)
	if err != nil {
		return handler.Outcome{}, &sourceError{err}
	}
	defer message.close()
	if err := h.waitForRate(ctx); err != nil {
		return handler.Outcome{}, err
	}
	outcome, reused, err := h.post(ctx, e, message)
	if reused {
		outcome, _, err = h.post(ctx, e, message)
	}
	return outcome, err
}

// sourceError is a failure before the request was complete. It says nothing about the health of the target.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

func (h *Handler) waitForRate(ctx context.Context) error {
	err := h.limiter.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &sourceError{ctx.Err()}
	default: // the limiter knows that the deadline comes first
		return handler.Defer(h.config.longestWait(), event.CauseNone, event.ReasonRateLimited,
			fmt.Errorf("more requests to %s wait than RECEIVER_FORWARD_RATE allows before the deadline", h.target.host))
	}
}

// post sends the message and returns what the response means. reused reports that nothing came back on a connection that was
// idle before: the target may have closed it, which says nothing about the next one.
func (h *Handler) post(ctx context.Context, e event.Event, m *message) (outcome handler.Outcome, reused bool, err error) {
	call := newCall(ctx, m, h.config.Timeout)
	defer call.close()
	var wasIdle atomic.Bool
	traced := httptrace.WithClientTrace(call.ctx, &httptrace.ClientTrace{
		GotConn: func(connection httptrace.GotConnInfo) { wasIdle.Store(connection.Reused) },
	})
	request, err := h.request(traced, e, m, call.body)
	if err != nil {
		_ = call.body.Close()
		return handler.Outcome{}, false, err
	}
	response, err := h.transport.RoundTrip(request)
	if err != nil {
		return handler.Outcome{}, wasIdle.Load() && call.ctx.Err() == nil && call.body.failure() == nil, h.callFailure(call, err)
	}
	defer func() { _ = response.Body.Close() }()
	content := call.read(response.Body)
	if err := call.body.failure(); err != nil { // the response came early: the target cannot have the whole message
		return handler.Outcome{}, false, h.callFailure(call, err)
	}
	outcome, err = h.outcome(response, content)
	return outcome, false, err
}

// request returns the signed request.
func (h *Handler) request(ctx context.Context, e event.Event, m *message, body *body) (*http.Request, error) {
	request := (&http.Request{
		Method: http.MethodPost, URL: h.target.address, Host: h.target.address.Host,
		Header: h.header.Clone(), Body: body, ContentLength: m.length(),
	}).WithContext(ctx)
	maps.Copy(request.Header, m.header)
	return request, h.signer.sign(request.Header, e.ID, time.Now(), m.signed)
}
