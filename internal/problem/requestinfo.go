package problem

import (
	"context"
	"net/netip"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// RequestInfo is one request and what it came to. It belongs to the goroutine that
// serves the request.
type RequestInfo struct {
	ID     string     // the request id we gave it
	Client netip.Addr // who sent it; the zero Addr when a trusted proxy named him unreadably

	Receipt event.Receipt // what the store said of the event, if there was one
	Job     string        // the job of that event

	Problem event.Code // the meaning of the problem it was answered with, "" for none
	Err     error      // why; for our log only
}

type contextKey struct{}

// WithRequestInfo gives a context that carries e.
func WithRequestInfo(ctx context.Context, e *RequestInfo) context.Context {
	return context.WithValue(ctx, contextKey{}, e)
}

// RequestInfoFrom is the exchange that ctx carries; outside of a server it is a new, empty
// one, so that it can be written to all the same.
func RequestInfoFrom(ctx context.Context) *RequestInfo {
	if e, ok := ctx.Value(contextKey{}).(*RequestInfo); ok {
		return e
	}
	return &RequestInfo{}
}
