package fetch

import (
	"context"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// failure returns the meaning of a transport's error. That error is not wrapped: it can quote what the server
// sent, and so our query. The cause of ctx, which is that of the attempt, distinguishes a stall from the caller's end.
func failure(ctx context.Context, host string, err error) *Error {
	if ctx.Err() != nil {
		return interruption(ctx, host)
	}
	if blocked, ok := errors.AsType[*blockedError](err); ok {
		return failf(KindBlockedAddress, "the host %s leads to the address %s, which is not a public one", host, blocked.addr)
	}
	failed := httpclient.Classify(err)
	kind := KindNetwork
	switch {
	case failed.Class == httpclient.ClassTimeout:
		kind = KindTimeout
	case failed.IsUnreachable():
		kind = KindUnreachable
	}
	return brokenf(kind, failed.Cause, "the host %s %s", host, failed.Text)
}

// interruption says why an attempt's context ended.
func interruption(ctx context.Context, host string) *Error {
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return brokenf(KindTimeout, nil, "the host %s stopped sending", host)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return wrapf(KindTimeout, ctx.Err(), "the time was over before the host %s had sent everything", host)
	default:
		return wrapf(KindCancelled, ctx.Err(), "the transfer from the host %s was called off", host)
	}
}
