package problem

import (
	"context"
	"net/netip"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// RequestInfo collects what the access log says about a request. Only the goroutine
// that serves the request may use it.
type RequestInfo struct {
	ID     string     // request id
	Client netip.Addr // client IP; the zero Addr if a trusted proxy sent an unreadable one

	Receipt event.Receipt // answer of the store, for an accepted callback
	Job     string        // job of the accepted callback
	Names   event.Names   // of the accepted callback
	Defects int           // number of defects that its body has; see event.Event.Defects
	// NameChanged says that the reference in the URL could not be used as it is.
	NameChanged bool

	Problem Code  // code of the problem in the answer; "" for none
	Err     error // its cause, for our log only
}

type contextKey struct{}

// WithRequestInfo returns a context that carries info.
func WithRequestInfo(ctx context.Context, info *RequestInfo) context.Context {
	return context.WithValue(ctx, contextKey{}, info)
}

// RequestInfoFrom returns the RequestInfo that ctx carries, or a new one.
func RequestInfoFrom(ctx context.Context) *RequestInfo {
	if info, ok := ctx.Value(contextKey{}).(*RequestInfo); ok {
		return info
	}
	return &RequestInfo{}
}
