// Package brokertest is the suite that every broker passes: that of all handlers, and the behaviour with a broker that is
// down, stalls, restarts or refuses the login. It imports testing: nothing that is shipped may import it.
package brokertest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/rs/zerolog"
)

// Password is the password of every subject that has one. Logs and errors must not contain it. It needs no escaping in a
// URL.
const Password = "pW4planted7passwordQ"

// Subject is a running broker.
type Subject struct {
	URL      string // of the broker through Proxy, with Password
	Proxy    *TCPProxy
	Bodies   func(t *testing.T) [][]byte // returns every message that the broker has stored
	TooLarge int                         // bytes of a message that the broker rejects
}

// Start returns a subject of its own for a test, which t.Cleanup closes.
type Start func(t *testing.T) Subject

// Run runs the suite.
func Run(t *testing.T, start Start) {
	t.Helper()
	t.Run("handler", func(t *testing.T) {
		t.Parallel()
		var once sync.Once
		var large event.Event
		handlertest.Run(t, func(t *testing.T, environment handlertest.Environment) handlertest.Subject {
			t.Helper()
			subject := start(t)
			once.Do(func() { large = LargeEvent(t, "large", subject.TooLarge) })
			return conformance(t, subject, large, environment)
		})
	})
	t.Run("messages are CloudEvents", func(t *testing.T) {
		t.Parallel()
		publishesEvents(t, start(t))
	})
	t.Run("reconnects after a broken connection", func(t *testing.T) {
		t.Parallel()
		reconnects(t, start(t))
	})
	t.Run("closes while the broker stalls", func(t *testing.T) {
		t.Parallel()
		closesWhileStalled(t, start(t))
	})
}

// conformance returns the subject for the suite of all handlers.
func conformance(t *testing.T, subject Subject, large event.Event, environment handlertest.Environment) handlertest.Subject {
	t.Helper()
	made := newHandler(t, subject.URL, environment.Log)
	hanging := Event(t, "hanging", environment.Secret)
	return handlertest.Subject{
		Handler: &stallingHandler{Handler: made, proxy: subject.Proxy, at: hanging.ID},
		Good: []event.Event{
			Event(t, "good", environment.Secret), Event(t, "better", environment.Secret), Event(t, "best", environment.Secret),
		},
		Permanent: map[string]event.Event{"too large": large},
		Hanging:   hanging,
		Reached:   subject.Proxy.Reached(),
		Effects:   func(t *testing.T) map[string]string { t.Helper(); return effects(t, subject) },
	}
}

func newHandler(t *testing.T, address string, log zerolog.Logger) *publish.Handler {
	t.Helper()
	config := publish.Config{URL: secret.New(address), Source: "/receiver"}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	made, err := publish.New(t.Context(), config, handler.Deps{Redact: event.Redact, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// NewHandler returns a handler for a URL, which is closed at the end of the test.
func NewHandler(t *testing.T, address string) *publish.Handler {
	t.Helper()
	made := newHandler(t, address, zerolog.Nop())
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Error(err)
		}
	})
	return made
}

// stallingHandler stalls the broker when it handles one event.
type stallingHandler struct {
	*publish.Handler
	proxy *TCPProxy
	at    event.ID
}

// Handle publishes the event.
func (s *stallingHandler) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	if e.ID == s.at && ctx.Err() == nil {
		if err := s.connect(); err != nil {
			return handler.Outcome{}, err
		}
		s.proxy.Stall()
	}
	return s.Handler.Handle(ctx, e)
}

// connect makes the connection, so that the stall comes after the login.
func (s *stallingHandler) connect() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.Check(ctx)
}

// timeout bounds every wait of a test.
const timeout = 30 * time.Second
