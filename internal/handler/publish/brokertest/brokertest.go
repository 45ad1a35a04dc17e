// Package brokertest is the suite that every broker passes: that of all handlers, and
// what is promised of a broker that is down, silent, restarted in the middle or
// refuses the log in. It imports testing: nothing that is shipped may import it.
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

// Password is what a subject's address has to carry where the broker knows passwords.
// Whatever is logged or returned is searched for it. It needs no escaping in an address.
const Password = "pW4planted7passwordQ"

// Subject is a running broker, as it is used, looked into and disturbed.
type Subject struct {
	// URL is the address for the handler, with Password in it, by way of Gate.
	URL string
	// Gate is the way to the broker.
	Gate *Gate
	// Bodies gives every message that the broker holds, also after it was looked into before.
	Bodies func(t *testing.T) [][]byte
	// TooLarge is a size of a message, in bytes, that the broker refuses.
	TooLarge int
}

// Start makes a subject that nobody else uses. What it opens is closed by t.Cleanup.
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
	t.Run("events are told as they are", func(t *testing.T) {
		t.Parallel()
		tellsEvents(t, start(t))
	})
	t.Run("a broken connection is made anew", func(t *testing.T) {
		t.Parallel()
		reconnects(t, start(t))
	})
	t.Run("a silent broker is no reason to hang at the end", func(t *testing.T) {
		t.Parallel()
		closesWhileSilent(t, start(t))
	})
}

// conformance is the handler in the words of the suite of all handlers.
func conformance(t *testing.T, subject Subject, large event.Event, environment handlertest.Environment) handlertest.Subject {
	t.Helper()
	made := newHandler(t, subject.URL, environment.Log)
	hanging := Event(t, "hanging", environment.Secret)
	return handlertest.Subject{
		Handler: &silencing{Handler: made, gate: subject.Gate, at: hanging.ID},
		Good: []event.Event{
			Event(t, "good", environment.Secret), Event(t, "better", environment.Secret), Event(t, "best", environment.Secret),
		},
		Permanent: map[string]event.Event{"too large": large},
		Hanging:   hanging,
		Reached:   subject.Gate.Reached(),
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

// NewHandler makes a handler for an address and closes it at the end of the test.
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

// silencing is a handler that works, and has the broker fall silent when it comes to one event.
type silencing struct {
	*publish.Handler
	gate *Gate
	at   event.ID
}

// Handle publishes the event.
func (s *silencing) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	if e.ID == s.at && ctx.Err() == nil {
		if err := s.warm(); err != nil {
			return handler.Outcome{}, err
		}
		s.gate.Silence()
	}
	return s.Handler.Handle(ctx, e)
}

// warm sees to it that the silence comes after the log in.
func (s *silencing) warm() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.Check(ctx)
}

// patience bounds whatever a test waits for.
const patience = 30 * time.Second
