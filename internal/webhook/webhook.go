// Package webhook is the door for Deep Image's callbacks: it checks the token,
// reads the body within its limits, and answers only when the event is durable.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Inbox is the durable store that callbacks go into. The memory of a body counts
// against our budget until the method returns, so it should not be kept for longer.
type Inbox interface {
	// Accept returns when the event is safe, or says that it is not.
	Accept(ctx context.Context, e event.Event) (event.Receipt, error)
	// Reject returns when the body of a request that was no event is safe.
	Reject(ctx context.Context, r event.Rejection) error
}

// JobTokens are tokens of which each is good for the callback of one job alone.
type JobTokens interface {
	// Known says whether there is such a token.
	Known(ctx context.Context, token string) (bool, error)
	// Use uses it up for an event, and notes its hash in the event. It is false for the event of another job, and when it was
	// used for another event.
	Use(ctx context.Context, token string, e *event.Event) bool
}

// Deps is what the door needs.
type Deps struct {
	Inbox  Inbox
	Tokens secret.List // any one of them opens
	// JobTokens open as well; nil if there are none.
	JobTokens JobTokens
	// Ready is nil when callbacks can be taken, or says why they cannot. It is asked
	// for every request, so it must not wait.
	Ready func() error
}

// Endpoint receives callbacks. It is an http.Handler for the routes of callbacks,
// safe for use by many goroutines.
type Endpoint struct {
	config Config
	deps   Deps
	budget *budget
}

// New makes the door. A missing or short token is an error.
func New(config Config, deps Deps) (*Endpoint, error) {
	if deps.Inbox == nil || deps.Ready == nil {
		return nil, errors.New("webhook: the inbox or the readiness is missing")
	}
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if err := checkTokens(deps.Tokens); err != nil {
		return nil, err
	}
	return &Endpoint{config: config, deps: deps, budget: newBudget(int64(config.InFlightBytes))}, nil
}

// ServeHTTP takes a callback: POST /webhooks/deep-image and POST /webhooks/deep-image/{token}.
func (i *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	job, receipt, err := i.receive(r)
	if err != nil {
		challenge(w, err)
		problem.Write(w, r, err)
		return
	}
	told := problem.RequestInfoFrom(r.Context())
	told.Job, told.Receipt = job, receipt
	answer(w, job, receipt)
}

// receive carries a callback through the checks, cheapest first, into the inbox.
func (i *Endpoint) receive(r *http.Request) (job string, receipt event.Receipt, err error) {
	if err := i.deps.Ready(); err != nil {
		return "", receipt, unavailable(err, "The receiver cannot take callbacks now.")
	}
	jobToken, err := i.authorize(r)
	if err != nil {
		return "", receipt, err
	}
	body, err := i.readBody(r)
	defer body.release()
	if err != nil {
		return "", receipt, err
	}
	received := time.Now().UTC().Truncate(time.Microsecond)
	e, err := event.Decode(body.bytes)
	if err != nil {
		return "", receipt, i.reject(r.Context(), body.bytes, received, err)
	}
	e.Received, e.Origin = received, event.OriginCallback
	e.Source = problem.RequestInfoFrom(r.Context()).Client
	if err := i.use(r.Context(), jobToken, &e); err != nil {
		return "", receipt, err
	}
	receipt, err = i.accept(r.Context(), e)
	return e.Job, receipt, err
}

// accept stores the event. Whatever the client does, the answer of the store counts; every failure of the store is ours.
func (i *Endpoint) accept(ctx context.Context, e event.Event) (event.Receipt, error) {
	ctx, cancel := i.storeContext(ctx)
	defer cancel()
	receipt, err := i.deps.Inbox.Accept(ctx, e)
	switch {
	case errors.Is(err, event.ErrBacklogFull):
		return event.Receipt{}, problem.Unavailable("Too many events are waiting to be processed.", err)
	case err != nil:
		return event.Receipt{}, problem.Unavailable("The event could not be stored.", err)
	}
	return receipt, nil
}

// reject stores a body that Decode refused and returns the answer to the sender.
func (i *Endpoint) reject(ctx context.Context, body []byte, received time.Time, cause error) error {
	refusal := problem.Of(cause)
	rejection := event.Rejection{Received: received, Detail: refusal.Detail, Body: body}
	switch refusal.Code {
	case problem.CodeMalformed:
		rejection.Code = event.RejectedMalformed
	case problem.CodeInvalid:
		rejection.Code = event.RejectedInvalid
	default:
		return problem.Unavailable("The body could not be read.", cause)
	}
	ctx, cancel := i.storeContext(ctx)
	defer cancel()
	if err := i.deps.Inbox.Reject(ctx, rejection); err != nil {
		return problem.Unavailable("The body is not a Deep Image callback, and could not be stored.", err)
	}
	return refusal
}

// storeContext returns a context that outlives the request, with the deadline of the store.
func (i *Endpoint) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), i.config.AcceptTimeout)
}

// unavailable returns err if it is CodeUnavailable already, else CodeUnavailable with detail: our own faults are never a 4xx.
func unavailable(err error, detail string) error {
	if problem.CodeOf(err) == problem.CodeUnavailable {
		return err
	}
	return problem.Unavailable(detail, err)
}
