// Package handlertest is the suite that every handler passes. It imports testing:
// nothing that is shipped may import it.
package handlertest

import (
	"fmt"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// Environment is what a subject is made for.
type Environment struct {
	// Secret is to be planted wherever an event can carry a token: in the query of
	// its URLs and in the payload. The suite looks for it in errors, artifacts and the log.
	Secret string
	// Log is what the handler is given as handler.Deps.Log.
	Log zerolog.Logger
}

// Subject is a handler together with events of every sort, and with what they need on the other side.
type Subject struct {
	// Handler is the one to be tested. The suite closes it.
	Handler handler.Handler
	// Good are events that succeed, two or more that have nothing in common.
	Good []event.Event
	// Failing are events that fail and may be tried again, by what is wrong with them.
	Failing map[string]event.Event
	// Permanent are events that can never succeed, by what is wrong with them.
	Permanent map[string]event.Event
	// Hanging is an event during which the other side falls silent. Reached is closed when it has.
	Hanging event.Event
	Reached <-chan struct{}
	// Effects tells all that the handler has brought about in the world so far: a name
	// for each thing, and a value that changes when the thing is written again.
	Effects func(t *testing.T) map[string]string
}

// Start makes a subject with stores of its own. What it opens besides the
// handler is closed by t.Cleanup, which comes after the handler is closed.
type Start func(t *testing.T, environment Environment) Subject

// Main runs the tests of a handler's package and then looks for goroutines that
// are left; TestMain of every handler calls it.
func Main(m *testing.M) { goleak.VerifyTestMain(m) }

// Run runs the suite. Every check has a subject of its own, and they run in parallel.
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
		"permanent input is permanent":        permanent,
		"other failures may be tried again":   failing,
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
