// Package exchange is what is known of one HTTP request while it is answered:
// the server starts it, the doors add to it, and the access line tells it.
package exchange

import (
	"context"
	"net/netip"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Exchange is one request and what it came to. It belongs to the goroutine that
// serves the request.
type Exchange struct {
	ID     string     // the request id we gave it
	Client netip.Addr // who sent it; the zero Addr when a trusted proxy named him unreadably

	Receipt event.Receipt // what the store said of the event, if there was one
	Job     string        // the job of that event

	Problem event.Code // the meaning of the problem it was answered with, "" for none
	Err     error      // why; for our log only
}

type contextKey struct{}

// With gives a context that carries e.
func With(ctx context.Context, e *Exchange) context.Context {
	return context.WithValue(ctx, contextKey{}, e)
}

// From is the exchange that ctx carries; outside of a server it is a new, empty
// one, so that it can be written to all the same.
func From(ctx context.Context) *Exchange {
	if e, ok := ctx.Value(contextKey{}).(*Exchange); ok {
		return e
	}
	return &Exchange{}
}
