package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/deepimage-receiver/receiver/internal/notification"
)

// eventType is what happened, as consumers and routing rules tell it from other events.
const eventType = "ai.deep-image.job.complete"

// cloudEvent is the envelope of CloudEvents 1.0.2 in the JSON format
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
// The tests hold it against the official SDK, which would be 0.7 MB in the binary.
type cloudEvent struct {
	SpecVersion     string             `json:"specversion"`
	ID              event.ID           `json:"id"`
	Source          string             `json:"source"`
	Type            string             `json:"type"`
	Subject         string             `json:"subject"`
	Time            time.Time          `json:"time"`
	DataContentType string             `json:"datacontenttype"`
	Data            notification.Event `json:"data"`
}

// message makes what the broker is given. The same event gives the same bytes.
func (h *Handler) message(e event.Event) (broker.Message, error) {
	document, err := notification.Of(e, h.redact)
	if err != nil {
		return broker.Message{}, handler.Fail(event.ReasonOther, fmt.Errorf("the event cannot be made fit to be published: %w", err))
	}
	body, err := encode(cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: h.source, Type: eventType, Subject: e.Job, Time: document.ReceivedAt,
		DataContentType: "application/json", Data: document,
	})
	if err != nil {
		return broker.Message{}, handler.Fail(event.ReasonOther, fmt.Errorf("the event cannot be written as JSON: %w", err))
	}
	return broker.Message{ID: string(e.ID), Job: e.Job, Body: body}, nil
}

// encode writes JSON that is plain to read: & < > stay as they are. Two characters that
// are none are written as escapes, because SQS takes no message with them.
func encode(document cloudEvent) ([]byte, error) {
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(written.Bytes(), []byte("\n"))
	if bytes.Contains(body, []byte("\uFFFE")) || bytes.Contains(body, []byte("\uFFFF")) {
		body = []byte(strings.NewReplacer("\uFFFE", `\ufffe`, "\uFFFF", `\uffff`).Replace(string(body)))
	}
	return body, nil
}
