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
	// plantedSecret is used as a token. It needs no escaping in a URL or in JSON.
	plantedSecret = "kX7vQ2planted9secretR4tZ" //nolint:gosec // not a real secret
	// promptly is how fast a handler returns after its context ended, on a slow and busy machine.
	promptly = 5 * time.Second
)

// stage is a subject and its log.
type stage struct {
	Subject
	log *testkit.Log
}

func newStage(t *testing.T, start Start) *stage {
	t.Helper()
	log := &testkit.Log{}
	// Registered first, so that it runs last, when the log is complete.
	t.Cleanup(func() { noSecret(t, "the log", log.String()) })
	made := &stage{log: log}
	made.Subject = start(t, Environment{Secret: plantedSecret, Log: zerolog.New(io.MultiWriter(log, t.Output()))})
	t.Cleanup(func() {
		if err := handler.Close(made.Handler); err != nil {
			t.Error(err)
		}
	})
	made.check(t)
	return made
}

// check ensures that the subject is complete and contains the secret.
func (s *stage) check(t *testing.T) {
	t.Helper()
	if len(s.Good) < 2 || len(s.Permanent) == 0 || s.Reached == nil || s.Effects == nil {
		t.Fatalf("subject = %+v, want 2 good events, permanent ones, Reached and Effects", s.Subject)
	}
	for _, e := range s.Good {
		if !bytes.Contains(e.Body, []byte(plantedSecret)) {
			t.Fatalf("body of event %s = %s, want the secret in it", e.ID, e.Body)
		}
	}
}

// handle runs the handler and checks what holds for every attempt.
func (s *stage) handle(ctx context.Context, t *testing.T, e event.Event) (handler.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, testkit.Timeout)
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

// must is handle for an event that must succeed.
func (s *stage) must(t *testing.T, e event.Event) handler.Outcome {
	t.Helper()
	outcome, err := s.handle(t.Context(), t, e)
	if err != nil {
		t.Fatalf("event %s: error = %v, want none", e.ID, err)
	}
	return outcome
}

// checkArtifacts checks the artifacts of an outcome.
func checkArtifacts(t *testing.T, e event.Event, artifacts []event.Artifact) {
	t.Helper()
	seen := map[int]bool{}
	for _, a := range append(append([]event.Artifact{}, e.Artifacts...), artifacts...) {
		if seen[a.Index] {
			t.Errorf("event %s: two artifacts with index %d, want one", e.ID, a.Index)
		}
		seen[a.Index] = true
		if a.Handler == "" || a.Key == "" || a.URL == "" || a.MediaType == "" || a.Bytes < 1 || len(a.SHA256) != 64 || a.Stored.IsZero() {
			t.Errorf("event %s: artifact = %+v, want all fields", e.ID, a)
		}
		encoded, err := json.Marshal(a)
		if err != nil {
			t.Error(err)
		}
		noSecret(t, "an artifact", string(encoded))
	}
}

func noSecret(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, plantedSecret) {
		t.Errorf("%s contains the secret, want none: %s", where, text)
	}
}
