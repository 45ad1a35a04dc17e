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
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	rows := []struct {
		name      string
		err       error
		reason    event.Reason
		permanent bool
		ok        error
	}{
		{"no connection", broker.ConnectionFailed("no", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), event.ReasonUnreachable, false, nil},
		{"unknown name", broker.ConnectionFailed("no", &net.DNSError{IsNotFound: true}), event.ReasonUnreachable, false, nil},
		{"connection ended", broker.ConnectionFailed("no", errors.New("gone")), event.ReasonServerError, false, nil},
		{"time of a socket", broker.ConnectionFailed("no", os.ErrDeadlineExceeded), event.ReasonTimeout, false, os.ErrDeadlineExceeded},
		{"time of a context", broker.ConnectionFailed("no", context.DeadlineExceeded), event.ReasonTimeout, false, context.DeadlineExceeded},
		{"called off", broker.Unanswered(ended, "it"), event.ReasonServerError, false, context.Canceled},
		{"credentials", broker.Refused("no %s", "user"), event.ReasonAuth, false, nil},
		{"topic", broker.Missing("no %s", "topic"), event.ReasonOther, false, nil},
		{"size", broker.TooLarge(broker.Message{Body: []byte("1234")}, "at most %d", 3), event.ReasonTooLarge, true, nil},
		{"answer", broker.Failed("no"), event.ReasonServerError, false, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			failure := handler.Classify(row.err)
			if failure.Reason != row.reason || (failure.Action == event.ActionFail) != row.permanent || row.ok != nil && !errors.Is(row.err, row.ok) {
				t.Errorf("%+v", failure)
			}
		})
	}
	if got := rows[8].err.Error(); got != "the message has 4 bytes, and at most 3" {
		t.Errorf("got %q", got)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	if got := broker.Quote(" a\n\tb \xff "); got != "a b" {
		t.Errorf("Quote() = %q, want %q", got, "a b")
	}
	if got, want := broker.Quote(strings.Repeat("é", 300)), strings.Repeat("é", 148)+"…"; got != want {
		t.Errorf("Quote() = %q, want %q", got, want)
	}
}
