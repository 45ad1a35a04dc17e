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

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish"
	"github.com/rs/zerolog"
)

// tellsEvents looks at a message as a consumer does.
func tellsEvents(t *testing.T, subject Subject) {
	t.Helper()
	made := NewHandler(t, subject.URL)
	if err := made.Check(t.Context()); err != nil {
		t.Fatalf("check: %v", err)
	}
	e := Event(t, "told \uFFFE & <b>", "s3cret")
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
		t.Fatalf("%d messages: %s", len(bodies), slices.Concat(bodies...))
	}
	if got.SpecVersion != "1.0" || got.ID != string(e.ID) || got.Source != "/receiver" || got.Type != "ai.deep-image.job.complete" ||
		got.Subject != e.Job || got.Time != "2026-11-24T12:00:00.000005Z" || got.DataContentType != "application/json" ||
		got.Data.ID != got.ID || got.Data.Job != e.Job || len(got.Data.Artifacts) != 1 {
		t.Errorf("%s", bodies[0])
	}
}

// reconnects cuts every connection between two events.
func reconnects(t *testing.T, subject Subject) {
	t.Helper()
	made := NewHandler(t, subject.URL)
	for n := range 5 {
		untilDone(t, made, Event(t, fmt.Sprint("job ", n), "s3cret"))
		subject.Gate.Cut()
	}
	if got := len(effects(t, subject)); got != 5 {
		t.Errorf("%d events arrived, want 5", got)
	}
}

// closesWhileSilent closes a handler whose broker does not answer any more.
func closesWhileSilent(t *testing.T, subject Subject) {
	t.Helper()
	made := newHandler(t, subject.URL, zerolog.Nop())
	untilDone(t, made, Event(t, "before", "s3cret"))
	subject.Gate.Silence()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := made.Handle(ctx, Event(t, "into the silence", "s3cret"))
	if failure := handler.Classify(err); failure == nil || failure.Reason != event.ReasonTimeout || failure.Action == event.ActionFail {
		t.Errorf("the silence is %v", err)
	}
	begin := time.Now()
	if err := made.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s to close", took)
	}
}

// untilDone does what the pipeline does: it tries again while that makes sense.
func untilDone(t *testing.T, made *publish.Handler, e event.Event) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := made.Handle(ctx, e)
		cancel()
		failure := handler.Classify(err)
		if failure == nil {
			return
		}
		if failure.Action == event.ActionFail || time.Now().After(deadline) {
			t.Errorf("event %s: %v", e.ID, err)
			return
		}
		if strings.Contains(err.Error(), Password) {
			t.Errorf("the error tells the password: %v", err)
		}
		pause(t, 20*time.Millisecond)
	}
}

func pause(t *testing.T, duration time.Duration) {
	t.Helper()
	select {
	case <-time.After(duration):
	case <-t.Context().Done():
	}
}

// Restart is a broker that can be stopped and started again and keeps what it has acknowledged.
type Restart struct {
	Subject
	Stop  func(t *testing.T)
	Start func(t *testing.T)
}

// SurvivesRestart restarts the broker twice: some events are published before, some
// while it stops, some while it is down and some while it starts. Every event is
// acknowledged once in the end; then the broker has to hold every one.
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
		pause(t, 50*time.Millisecond)
		whileStarting := publishEach()
		subject.Start(t)
		whileStopping()
		whileDown()
		whileStarting()
	}
	arrivals := len(subject.Bodies(t))
	if got := len(effects(t, subject.Subject)); got != published {
		t.Errorf("%d of %d acknowledged events are there", got, published)
	}
	t.Logf("%d events acknowledged over two restarts, all there; %d messages in all", published, arrivals)
}

// publishMany publishes events with the numbers from first to before last.
func publishMany(t *testing.T, made *publish.Handler, first, last int) (wait func()) {
	t.Helper()
	const workers = 8
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for n := first + worker; n < last && !t.Failed(); n += workers {
				untilDone(t, made, Event(t, fmt.Sprint("job ", n), "s3cret"))
			}
		})
	}
	return group.Wait
}

// DownAtStart makes a handler before there is a broker: that delays events, not the start.
func DownAtStart(t *testing.T, address string, start func(t *testing.T)) {
	t.Helper()
	made := NewHandler(t, address)
	e := Event(t, "early", "s3cret")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := made.Handle(ctx, e)
	failure := handler.Classify(err)
	if failure == nil || failure.Action == event.ActionFail || failure.Reason != event.ReasonUnreachable && failure.Reason != event.ReasonTimeout {
		t.Errorf("without a broker it says %v", err)
	}
	if err := made.Check(ctx); err == nil {
		t.Error("check finds a broker where there is none")
	}
	start(t)
	untilDone(t, made, e)
}

// Fails publishes an event that fails for a while, and looks at what is said of it.
func Fails(t *testing.T, address string, reason event.Reason, says string) {
	t.Helper()
	made := NewHandler(t, address)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, published := made.Handle(ctx, Event(t, "failing", "s3cret"))
	for call, err := range map[string]error{"publish": published, "check": made.Check(ctx)} {
		failure := handler.Classify(err)
		if failure == nil || failure.Action == event.ActionFail || failure.Reason != reason || !strings.Contains(failure.Error(), says) {
			t.Errorf("%s: %+v, want %s and %q", call, failure, reason, says)
		}
		for ; err != nil; err = errors.Unwrap(err) {
			if strings.Contains(err.Error(), Password) {
				t.Errorf("%s tells the password: %v", call, err)
			}
		}
	}
}
