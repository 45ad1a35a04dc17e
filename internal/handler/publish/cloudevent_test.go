package publish_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish"
	"github.com/deepimage-receiver/receiver/internal/notification"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

func TestMain(m *testing.M) { handlertest.Main(m) }

func newHandler(t *testing.T, redact func([]byte) ([]byte, error)) *publish.Handler {
	t.Helper()
	made, err := publish.New(t.Context(), publish.Config{URL: secret.New("nats://h/s"), Source: "/receiver"}, handler.Deps{Redact: redact})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.Close() })
	return made
}

func newEvent(t *testing.T) event.Event {
	t.Helper()
	e, err := event.Decode([]byte(`{"job":"a <job> & \uffff","result_url":"https://h/a.png?sig=T0KEN","data":{"width":2,"webhooks":{"complete":"https://me/T0KEN"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	e.ID, e.Received = "019ab6f2-0000-7000-8000-000000000001", time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)
	e.Artifacts = []event.Artifact{{
		Handler: "download", Key: "a.png", URL: "file:///images/a.png", Bytes: 7, SHA256: strings.Repeat("0", 64), MediaType: "image/png", Width: 2, Height: 1,
	}}
	return e
}

// The official SDK decodes and validates the message.
func TestMessageIsACloudEvent(t *testing.T) {
	t.Parallel()
	e := newEvent(t)
	id, job, body, err := newHandler(t, event.Redact).Message(e)
	if err != nil || id != string(e.ID) || job != e.Job {
		t.Fatalf("message = %q, %q, error = %v, want %q, %q", id, job, err, e.ID, e.Job)
	}
	var got cloudevents.Event
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if got.SpecVersion() != "1.0" || got.ID() != id || got.Source() != "/receiver" || got.Type() != "ai.deep-image.job.complete" ||
		got.Subject() != e.Job || !got.Time().Equal(e.Received) || got.DataContentType() != "application/json" || len(got.Extensions()) != 0 {
		t.Errorf("event = %s, want the attributes of %s", got, id)
	}
	var document notification.Event
	if err := got.DataAs(&document); err != nil || document.ID != e.ID || len(document.Artifacts) != 1 || document.Artifacts[0].Key != "a.png" {
		t.Errorf("document = %+v, error = %v, want event %s with the artifact a.png", document, err, e.ID)
	}
	if strings.Contains(string(body), "T0KEN") {
		t.Errorf("body = %s, want no T0KEN in it", body)
	}
	if !strings.Contains(string(body), `a <job> & \uffff`) {
		t.Errorf("body = %s, want & < > as they are and U+FFFF escaped", body)
	}
}

func TestMessageIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	made := newHandler(t, event.Redact)
	_, _, first, _ := made.Message(newEvent(t))
	_, _, second, _ := made.Message(newEvent(t))
	if !bytes.Equal(first, second) {
		t.Errorf("second message = %s, want %s", second, first)
	}
}

func TestWhatCannotBeRedactedIsNotPublished(t *testing.T) {
	t.Parallel()
	made := newHandler(t, func([]byte) ([]byte, error) { return nil, errors.New("no") })
	_, err := made.Handle(t.Context(), newEvent(t))
	handlertest.WantError(t, err, event.ActionFail, event.ReasonOther)
}
