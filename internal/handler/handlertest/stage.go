package handlertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/rs/zerolog"
)

const (
	// plantedSecret stands where a token would be. It needs no escaping in a URL or in JSON.
	plantedSecret = "kX7vQ2planted9secretR4tZ" //nolint:gosec // it opens nothing
	// patience bounds every call; a handler that needs longer hangs.
	patience = 30 * time.Second
	// promptly is how fast a handler gives up when its context ends, on a slow and busy machine.
	promptly = 5 * time.Second
)

// stage is a subject and what is watched of it.
type stage struct {
	Subject
	log *testkit.Log
}

func newStage(t *testing.T, start Start) *stage {
	t.Helper()
	log := &testkit.Log{}
	// Registered first, so that it comes last: whatever the handler logged is there.
	t.Cleanup(func() { noSecret(t, "the log", log.String()) })
	made := &stage{log: log}
	made.Subject = start(t, Environment{Secret: plantedSecret, Log: zerolog.New(io.MultiWriter(log, t.Output()))})
	t.Cleanup(func() {
		if err := handler.Close(made.Handler); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	made.check(t)
	return made
}

// check makes sure that the subject plants what the suite looks for.
func (s *stage) check(t *testing.T) {
	t.Helper()
	if len(s.Good) < 2 || len(s.Permanent) == 0 || s.Reached == nil || s.Effects == nil {
		t.Fatal("the subject is not complete")
	}
	for _, e := range s.Good {
		if !bytes.Contains(e.Body, []byte(plantedSecret)) {
			t.Fatalf("event %s does not carry the secret", e.ID)
		}
	}
}

// handle runs the handler and looks at what may be said of any attempt.
func (s *stage) handle(ctx context.Context, t *testing.T, e event.Event) (handler.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	outcome, err := s.Handler.Handle(ctx, e)
	if err != nil {
		noSecret(t, "the error", err.Error())
		for cause := handler.Classify(err).Err; cause != nil; cause = unwrap(cause) {
			noSecret(t, "the error's cause", cause.Error())
		}
	}
	checkArtifacts(t, e, outcome.Artifacts)
	return outcome, err
}

func unwrap(err error) error {
	if wrapper, ok := err.(interface{ Unwrap() error }); ok {
		return wrapper.Unwrap()
	}
	return nil
}

// must is handle for what has to succeed.
func (s *stage) must(t *testing.T, e event.Event) handler.Outcome {
	t.Helper()
	outcome, err := s.handle(t.Context(), t, e)
	if err != nil {
		t.Fatalf("event %s: %v", e.ID, err)
	}
	return outcome
}

// checkArtifacts looks at what a handler says that it stored.
func checkArtifacts(t *testing.T, e event.Event, artifacts []event.Artifact) {
	t.Helper()
	seen := map[int]bool{}
	for _, a := range append(append([]event.Artifact{}, e.Artifacts...), artifacts...) {
		if seen[a.Index] {
			t.Errorf("event %s: two artifacts have the index %d", e.ID, a.Index)
		}
		seen[a.Index] = true
		if a.Handler == "" || a.Key == "" || a.URL == "" || a.MediaType == "" || a.Bytes < 1 || len(a.SHA256) != 64 || a.Stored.IsZero() {
			t.Errorf("event %s: the artifact is not complete: %+v", e.ID, a)
		}
		told, err := json.Marshal(a)
		if err != nil {
			t.Error(err)
		}
		noSecret(t, "an artifact", string(told))
	}
}

func noSecret(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, plantedSecret) {
		t.Errorf("%s tells the secret: %s", where, text)
	}
}
