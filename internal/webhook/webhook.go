// Package webhook receives Deep Image's callbacks: it checks the token, reads the body within
// its limits, and answers 200 only after the store has committed the event.
package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Inbox is the durable store of callbacks. Its methods must not keep the body after they return,
// because the budget counts it only until then.
type Inbox interface {
	// Accept stores an event. It returns nil only after the commit. event.ErrBacklogFull means that too many events wait.
	Accept(ctx context.Context, e event.Event) (event.Receipt, error)
	// Reject stores a body that is not an event. It returns nil only after the commit.
	Reject(ctx context.Context, r event.Rejection) error
}

// JobTokens are tokens for the callback of a single job each.
type JobTokens interface {
	// Find reports whether token exists, and whether it is used up: then only the event that used it may use it.
	Find(ctx context.Context, token string) (known, used bool, err error)
	// Use marks token as used for e and sets e.Token. It returns false if the token belongs to another job or was used for
	// another event.
	Use(ctx context.Context, token string, e *event.Event) bool
}

// Unverified bounds the bytes of callbacks that are stored and that the vendor has not confirmed.
type Unverified interface {
	// Reserve reserves bytes for a callback of source and returns false if that would exceed a bound. Otherwise settle must be called
	// when it is known whether the callback was stored.
	Reserve(source netip.Addr, bytes int64) (settle func(stored bool), ok bool)
}

// Deps are the dependencies of an Endpoint.
type Deps struct {
	Inbox  Inbox
	Tokens secret.List // tokens for every job
	// JobTokens may be nil.
	JobTokens JobTokens
	// Unverified may be nil. It bounds callbacks with one of Tokens.
	Unverified Unverified
	Memory     *memory.Budget // for the bodies
	// Ready returns why callbacks cannot be accepted, or nil. It is called for every request and must not block.
	Ready func() error
}

// Endpoint is the http.Handler of the callback routes. It is safe for concurrent use.
type Endpoint struct {
	config Config
	deps   Deps
}

// New returns an Endpoint. A missing or short token is an error.
func New(config Config, deps Deps) (*Endpoint, error) {
	if deps.Inbox == nil || deps.Ready == nil || deps.Memory == nil {
		return nil, errors.New("webhook: Inbox, Memory or Ready is missing")
	}
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if err := checkTokens(deps.Tokens); err != nil {
		return nil, err
	}
	return &Endpoint{config: config, deps: deps}, nil
}

// ServeHTTP receives a callback or a probe: POST /webhooks/deep-image and POST /webhooks/deep-image/{token}.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.probe(w, r) {
		return
	}
	job, receipt, err := e.receive(r)
	if err != nil {
		setRefusalHeaders(w, err)
		problem.Write(w, r, err)
		return
	}
	info := problem.RequestInfoFrom(r.Context())
	info.Job, info.Receipt = job, receipt
	answer(w, job, receipt)
}

// receive runs the checks of a callback, cheapest first, and stores it. It returns its job and the receipt of the store.
func (e *Endpoint) receive(r *http.Request) (job string, receipt event.Receipt, err error) {
	if err := e.deps.Ready(); err != nil {
		return "", receipt, unavailable(err, "The receiver is not ready for callbacks.")
	}
	token, err := e.authorize(r)
	if err != nil {
		return "", receipt, err
	}
	var content body
	defer content.release()
	err = e.readContent(r, &content)
	received := time.Now().UTC().Truncate(time.Microsecond)
	if err != nil {
		return "", receipt, e.reject(r.Context(), token, content.bytes, received, err)
	}
	decoded, err := event.Decode(content.bytes)
	if err != nil {
		return "", receipt, e.reject(r.Context(), token, content.bytes, received, err)
	}
	decoded.Received, decoded.Origin, decoded.Original = received, event.OriginCallback, originalOf(r, &content)
	decoded.Source = problem.RequestInfoFrom(r.Context()).Client
	setNames(r, &decoded)
	if err := e.useJobToken(r.Context(), token, &decoded); err != nil {
		return "", receipt, err
	}
	problem.RequestInfoFrom(r.Context()).Defects = len(decoded.Defects)
	receipt, err = e.acceptBounded(r.Context(), token, decoded)
	return decoded.Job, receipt, err
}

// setNames adds the names in the callback's URL to the event. A name that cannot be used as it is does not refuse the callback: it is
// cleaned, and the access log says so.
func setNames(r *http.Request, e *event.Event) {
	info := problem.RequestInfoFrom(r.Context())
	if r.URL.RawQuery != "" {
		written := queryValue(r.URL.RawQuery, event.ReferenceParameter)
		e.Reference = event.CleanName(written)
		info.NameChanged = e.Reference != written
		e.Input = cmp.Or(e.Input, event.FileName(queryValue(r.URL.RawQuery, event.InputParameter)))
	}
	info.Names = e.Names
}

// queryValue returns the first value of a parameter in a query, "" if there is none. A value with broken escapes is returned as it is
// written, where url.ParseQuery would drop it.
func queryValue(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key != name {
			continue
		}
		if decoded, err := url.QueryUnescape(value); err == nil {
			return decoded
		}
		return value
	}
	return ""
}

// unverifiedRetryAfter is when a callback may be sent again that exceeds the bound of Deps.Unverified.
const unverifiedRetryAfter = time.Minute

// acceptBounded stores the event unless it exceeds the bound of unverified bytes. One with a token of its own job is genuine.
func (e *Endpoint) acceptBounded(ctx context.Context, token jobToken, received event.Event) (receipt event.Receipt, err error) {
	size := int64(len(received.Body))
	if received.Original != nil {
		size += int64(len(received.Original.Body))
	}
	if e.deps.Unverified == nil || token.text != "" {
		return e.accept(ctx, received)
	}
	settle, ok := e.deps.Unverified.Reserve(received.Source, size)
	if !ok {
		return receipt, &problem.Error{
			Code: problem.CodeUnverified, RetryAfter: unverifiedRetryAfter,
			Detail: "Too many bytes of callbacks are stored that Deep Image has not confirmed. See RECEIVER_MAX_UNVERIFIED_BYTES.",
		}
	}
	defer func() { settle(err == nil && !receipt.Duplicate) }()
	return e.accept(ctx, received)
}

// accept stores the event. Whatever the client does, the answer of the store counts; every failure of the store is ours.
func (e *Endpoint) accept(ctx context.Context, received event.Event) (event.Receipt, error) {
	ctx, cancel := e.storeContext(ctx)
	defer cancel()
	receipt, err := e.deps.Inbox.Accept(ctx, received)
	switch {
	case errors.Is(err, event.ErrBacklogFull):
		return event.Receipt{}, problem.Unavailable("Too many events are waiting to be processed.", err)
	case err != nil:
		return event.Receipt{}, problem.Unavailable("The event could not be stored.", err)
	}
	return receipt, nil
}

// reject stores a body that is not an event, if cause is about what is in it, and returns the answer to the sender. With a
// job token that is used up it stores nothing: the body cannot be the event of the token.
func (e *Endpoint) reject(ctx context.Context, token jobToken, body []byte, received time.Time, cause error) error {
	refusal := problem.Of(cause)
	rejection := event.Rejection{Received: received, Detail: refusal.Detail, Body: body}
	switch refusal.Code {
	case problem.CodeMalformed:
		rejection.Code = event.RejectedMalformed
	case problem.CodeInvalid:
		rejection.Code = event.RejectedInvalid
	case problem.CodeUnsupportedCoding:
		rejection.Code = event.RejectedCoding
	case problem.CodeInternal:
		return problem.Unavailable("The body could not be read.", cause)
	default:
		return refusal
	}
	if token.used {
		return unauthorized()
	}
	ctx, cancel := e.storeContext(ctx)
	defer cancel()
	if err := e.deps.Inbox.Reject(ctx, rejection); err != nil {
		return problem.Unavailable("The body is not a Deep Image callback, and could not be stored.", err)
	}
	return refusal
}

// storeContext returns a context that outlives the request, with the deadline of the store.
func (e *Endpoint) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), e.config.AcceptTimeout)
}

// unavailable returns err if it is CodeUnavailable already, else CodeUnavailable with detail: our own faults are never a 4xx.
func unavailable(err error, detail string) error {
	if problem.CodeOf(err) == problem.CodeUnavailable {
		return err
	}
	return problem.Unavailable(detail, err)
}
