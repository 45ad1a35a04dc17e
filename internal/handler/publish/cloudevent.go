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

// eventType is the type of the CloudEvents, for routing rules and consumers.
const eventType = "ai.deep-image.job.complete"

// cloudEvent is the envelope of CloudEvents 1.0.2 in the JSON format
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
// The tests validate it with the official SDK, which would add 0.7 MB to the binary.
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

// message returns the message of an event. The same event makes the same bytes.
func (h *Handler) message(e event.Event) (broker.Message, error) {
	document, err := notification.New(e, h.redact)
	if err != nil {
		return broker.Message{}, handler.Fail(event.ReasonOther, fmt.Errorf("redact the event: %w", err))
	}
	body, err := encode(cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Source: h.source, Type: eventType, Subject: e.Job, Time: document.ReceivedAt,
		DataContentType: "application/json", Data: document,
	})
	if err != nil {
		return broker.Message{}, handler.Fail(event.ReasonOther, fmt.Errorf("encode the event as JSON: %w", err))
	}
	return broker.Message{ID: string(e.ID), Job: e.Job, Body: body}, nil
}

// encode returns JSON in which & < > are not escaped. U+FFFE and U+FFFF are, because SQS rejects messages with them.
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
