// Package handlertest is the suite that every handler passes. It imports testing: nothing that is shipped may import it.
package handlertest

import (
	"fmt"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// Environment is what the suite passes to a subject.
type Environment struct {
	// Secret must be wherever an event can have a token: in the query of its URLs and in the payload. The suite searches
	// errors, artifacts and the log for it.
	Secret string
	// Log is for handler.Deps.Log.
	Log zerolog.Logger
}

// Subject is a handler with events of every kind and the remote systems that they need.
type Subject struct {
	// Handler is the handler to be tested. The suite closes it.
	Handler handler.Handler
	// Good are two or more independent events that succeed.
	Good []event.Event
	// Failing are events whose attempt fails and may succeed later, by what is wrong with them.
	Failing map[string]event.Event
	// Permanent are events that can never succeed, by what is wrong with them.
	Permanent map[string]event.Event
	// Hanging is an event during which the remote system stalls. Reached is closed when it has.
	Hanging event.Event
	Reached <-chan struct{}
	// Effects returns all that the handler has written so far: a name for each thing, and a value that changes when it is
	// written again.
	Effects func(t *testing.T) map[string]string
}

// Start returns a subject with its own stores. What it opens besides the handler is closed by t.Cleanup, after the handler.
type Start func(t *testing.T, environment Environment) Subject

// Main runs the tests of a package and fails if goroutines are left. TestMain of every handler calls it.
func Main(m *testing.M) { goleak.VerifyTestMain(m) }

// Run runs the suite. Every check has its own subject; they run in parallel.
func Run(t *testing.T, start Start) {
	t.Helper()
	for name, check := range checks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, newStage(t, start))
		})
	}
}

func checks() map[string]func(*testing.T, *stage) {
	return map[string]func(*testing.T, *stage){
		"good events succeed":                 succeeds,
		"a second run changes nothing":        repeats,
		"a run after a crash changes nothing": repeatsWithoutRecord,
		"a cancelled context is an error":     cancelledBefore,
		"cancelling ends the work":            cancelledDuring,
		"the deadline ends the work":          deadline,
		"permanent failures fail":             permanent,
		"other failures do not fail":          failing,
		"one event many times at once":        together,
		"many events at once":                 sideBySide,
	}
}

// WantError stops the test unless err has this action and reason. It returns the classified error.
func WantError(t testing.TB, err error, action event.Action, reason event.Reason) *handler.Error {
	t.Helper()
	got := handler.Classify(err)
	if got == nil || got.Action != action || got.Reason != reason {
		t.Fatalf("error = %s, want %s %s", describe(got), action, reason)
	}
	return got
}

func describe(e *handler.Error) string {
	if e == nil {
		return "none"
	}
	return fmt.Sprintf("%s %s: %v", e.Action, e.Reason, e.Err)
}
