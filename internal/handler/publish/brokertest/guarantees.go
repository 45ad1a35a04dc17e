package brokertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish"
	"github.com/rs/zerolog"
)

// publishesEvents decodes a message as a consumer does.
func publishesEvents(t *testing.T, subject Subject) {
	t.Helper()
	made := NewHandler(t, subject.URL)
	if err := made.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := Event(t, "job \uFFFE & <b>", "s3cret")
	e.Artifacts = []event.Artifact{{
		Handler: "download", Key: "a.png", URL: "file:///images/a.png", Bytes: 7, SHA256: strings.Repeat("0", 64),
		MediaType: "image/png", Width: 2, Height: 1, Stored: e.Received,
	}}
	if _, err := made.Handle(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	var got struct {
		SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
		Data                                                          struct {
			ID, Job   string
			Artifacts []struct{ Key string }
		}
	}
	bodies := subject.Bodies(t)
	if len(bodies) != 1 || json.Unmarshal(bodies[0], &got) != nil {
		t.Fatalf("%d messages: %s, want 1 of JSON", len(bodies), slices.Concat(bodies...))
	}
	if got.SpecVersion != "1.0" || got.ID != string(e.ID) || got.Source != "/receiver" || got.Type != "ai.deep-image.job.complete" ||
		got.Subject != e.Job || got.Time != "2026-11-24T12:00:00.000005Z" || got.DataContentType != "application/json" ||
		got.Data.ID != got.ID || got.Data.Job != e.Job || len(got.Data.Artifacts) != 1 {
		t.Errorf("message = %s, want a CloudEvent of event %s with 1 artifact", bodies[0], e.ID)
	}
}

// reconnects cuts the connection after each event.
func reconnects(t *testing.T, subject Subject) {
	t.Helper()
	made := NewHandler(t, subject.URL)
	for n := range 5 {
		retryUntilDone(t, made, Event(t, fmt.Sprint("job ", n), "s3cret"))
		subject.Proxy.Cut()
	}
	if got := len(effects(t, subject)); got != 5 {
		t.Errorf("events = %d, want 5", got)
	}
}

// closesWhileStalled closes a handler whose broker no longer responds.
func closesWhileStalled(t *testing.T, subject Subject) {
	t.Helper()
	made := newHandler(t, subject.URL, zerolog.Nop())
	retryUntilDone(t, made, Event(t, "before", "s3cret"))
	subject.Proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := made.Handle(ctx, Event(t, "stalled", "s3cret"))
	_ = handlertest.WantError(t, err, event.ActionDefer, event.ReasonTimeout)
	begin := time.Now()
	if err := made.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Close took %s, want at most 5s", took)
	}
}

// restartTimeout bounds the time until a broker that was stopped takes events again.
const restartTimeout = 2 * time.Minute

// retryUntilDone retries as the executor does.
func retryUntilDone(t *testing.T, made *publish.Handler, e event.Event) {
	t.Helper()
	deadline := time.Now().Add(restartTimeout)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		_, err := made.Handle(ctx, e)
		cancel()
		failure := handler.Classify(err)
		if failure == nil {
			return
		}
		if failure.Action == event.ActionFail || time.Now().After(deadline) {
			t.Errorf("event %s: error = %v, want none in the end", e.ID, err)
			return
		}
		if strings.Contains(err.Error(), Password) {
			t.Errorf("error = %v, want no password in it", err)
		}
		_ = background.Sleep(t.Context(), 20*time.Millisecond)
	}
}

// Restart is a broker that can be restarted and keeps what it has acknowledged.
type Restart struct {
	Subject
	Stop  func(t *testing.T)
	Start func(t *testing.T)
}

// SurvivesRestart restarts the broker twice and publishes events before, while it stops, while it is down and while it
// starts. Every event is acknowledged in the end; the broker must have every one.
func SurvivesRestart(t *testing.T, subject Restart) {
	t.Helper()
	const rounds, each = 2, 60
	made := NewHandler(t, subject.URL)
	published := 0
	publishEach := func() (wait func()) {
		first := published
		published += each
		return publishMany(t, made, first, published)
	}
	for range rounds {
		publishEach()()
		whileStopping := publishEach()
		subject.Stop(t)
		whileDown := publishEach()
		_ = background.Sleep(t.Context(), 50*time.Millisecond)
		whileStarting := publishEach()
		subject.Start(t)
		whileStopping()
		whileDown()
		whileStarting()
	}
	arrivals := len(subject.Bodies(t))
	if got := len(effects(t, subject.Subject)); got != published {
		t.Errorf("events = %d, want all %d that were acknowledged", got, published)
	}
	t.Logf("%d events acknowledged over two restarts, %d messages", published, arrivals)
}

// publishMany publishes the events with the numbers from first to last-1.
func publishMany(t *testing.T, made *publish.Handler, first, last int) (wait func()) {
	t.Helper()
	const workers = 8
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for n := first + worker; n < last && !t.Failed(); n += workers {
				retryUntilDone(t, made, Event(t, fmt.Sprint("job ", n), "s3cret"))
			}
		})
	}
	return group.Wait
}

// DownAtStart makes a handler before the broker runs: that delays events, not the start.
func DownAtStart(t *testing.T, address string, start func(t *testing.T)) {
	t.Helper()
	made := NewHandler(t, address)
	e := Event(t, "early", "s3cret")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := made.Handle(ctx, e)
	reasons := []event.Reason{event.ReasonUnreachable, event.ReasonTimeout}
	if got := handler.Classify(err); got == nil || got.Action != event.ActionDefer || !slices.Contains(reasons, got.Reason) {
		t.Errorf("error without a broker = %+v, want defer unreachable or defer timeout", got)
	}
	if err := made.Check(ctx); err == nil {
		t.Error("error of Check without a broker = nil, want one")
	}
	start(t)
	retryUntilDone(t, made, e)
}

// Fails publishes an event to a broker that rejects it for now, and checks the errors of Handle and Check.
func Fails(t *testing.T, address string, reason event.Reason) {
	t.Helper()
	made := NewHandler(t, address)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, published := made.Handle(ctx, Event(t, "failing", "s3cret"))
	for call, err := range map[string]error{"publish": published, "check": made.Check(ctx)} {
		if got := handler.Classify(err); got == nil || got.Action != event.ActionDefer || got.Reason != reason {
			t.Errorf("%s: error = %+v, want %s %s", call, got, event.ActionDefer, reason)
		}
		for ; err != nil; err = errors.Unwrap(err) {
			if strings.Contains(err.Error(), Password) {
				t.Errorf("%s: error = %v, want no password in it", call, err)
			}
		}
	}
}
