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
			action: event.ActionRetry, reason: event.ReasonUnreachable, cause: syscall.ECONNREFUSED,
		},
		{
			name: "unknown host", err: broker.ConnectionFailed("no", &net.DNSError{IsNotFound: true}),
			action: event.ActionRetry, reason: event.ReasonUnreachable,
		},
		{
			name: "connection ended", err: broker.ConnectionFailed("no", errors.New("ended")),
			action: event.ActionRetry, reason: event.ReasonServerError,
		},
		{
			name: "timeout of a socket", err: broker.ConnectionFailed("no", os.ErrDeadlineExceeded),
			action: event.ActionRetry, reason: event.ReasonTimeout, cause: os.ErrDeadlineExceeded,
		},
		{
			name: "timeout of a context", err: broker.ConnectionFailed("no", context.DeadlineExceeded),
			action: event.ActionRetry, reason: event.ReasonTimeout, cause: context.DeadlineExceeded,
		},
		{
			name: "cancelled", err: broker.Unacknowledged(cancelled, "broker"),
			action: event.ActionRetry, reason: event.ReasonServerError, cause: context.Canceled,
		},
		{name: "credentials", err: broker.Refused("no %s", "user"), action: event.ActionRetry, reason: event.ReasonAuth},
		{name: "topic", err: broker.Missing("no %s", "topic"), action: event.ActionRetry, reason: event.ReasonOther},
		{
			name: "size", err: broker.TooLarge(broker.Message{Body: []byte("1234")}, "at most %d", 3),
			action: event.ActionFail, reason: event.ReasonTooLarge,
		},
		{name: "response", err: broker.Failed("no"), action: event.ActionRetry, reason: event.ReasonServerError},
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
