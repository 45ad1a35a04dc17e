package broker_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// E5 of the list of faults: what a broker does not accept for reasons of its own is deferred, whatever the time it takes.
func TestFailures(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	rows := []struct {
		name   string
		err    error
		action event.Action
		reason event.Reason
		cause  error // that err wraps; nil for any
	}{
		{
			name: "no connection", err: broker.ConnectionFailed("no", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
			action: event.ActionDefer, reason: event.ReasonUnreachable, cause: syscall.ECONNREFUSED,
		},
		{
			name: "unknown host", err: broker.ConnectionFailed("no", &net.DNSError{IsNotFound: true}),
			action: event.ActionDefer, reason: event.ReasonUnreachable,
		},
		{
			name: "connection ended", err: broker.ConnectionFailed("no", errors.New("ended")),
			action: event.ActionDefer, reason: event.ReasonServerError,
		},
		{
			name: "timeout of a socket", err: broker.ConnectionFailed("no", os.ErrDeadlineExceeded),
			action: event.ActionDefer, reason: event.ReasonTimeout, cause: os.ErrDeadlineExceeded,
		},
		{
			name: "timeout of a context", err: broker.ConnectionFailed("no", context.DeadlineExceeded),
			action: event.ActionDefer, reason: event.ReasonTimeout, cause: context.DeadlineExceeded,
		},
		{
			name: "cancelled", err: broker.Unacknowledged(cancelled, "broker"),
			action: event.ActionDefer, reason: event.ReasonServerError, cause: context.Canceled,
		},
		{name: "credentials", err: broker.Refused("no %s", "user"), action: event.ActionDefer, reason: event.ReasonAuth},
		{name: "topic", err: broker.Missing("no %s", "topic"), action: event.ActionDefer, reason: event.ReasonOther},
		{
			name: "size", err: broker.TooLarge(broker.Message{Body: []byte("1234")}, "at most %d", 3),
			action: event.ActionFail, reason: event.ReasonTooLarge,
		},
		{name: "response", err: broker.Failed("no"), action: event.ActionDefer, reason: event.ReasonServerError},
		{name: "full", err: broker.Full("no"), action: event.ActionDefer, reason: event.ReasonServerError},
		{name: "throttled", err: broker.Throttled("no"), action: event.ActionDefer, reason: event.ReasonRateLimited},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := handler.Classify(row.err)
			if got.Action != row.action || got.Reason != row.reason {
				t.Errorf("error = %s %s, want %s %s", got.Action, got.Reason, row.action, row.reason)
			}
			if row.cause != nil && !errors.Is(row.err, row.cause) {
				t.Errorf("error = %v, want one that wraps %v", row.err, row.cause)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ text, want string }{
		{text: " a\n\tb \xff ", want: "a b"},
		{text: strings.Repeat("é", 300), want: strings.Repeat("é", 148) + "…"},
	} {
		if got := broker.Quote(row.text); got != row.want {
			t.Errorf("Quote(%q) = %q, want %q", row.text, got, row.want)
		}
	}
}
