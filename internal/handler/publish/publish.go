// Package publish is the handler that publishes events to a message broker, as CloudEvents. The step is done when the
// broker has acknowledged that it stored the message. After a crash or a replay the same event is published again with the
// same id: consumers get each event at least once.
package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/aws"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/googlepubsub"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/kafka"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/nats"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/rabbitmq"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Name is the name of the handler and of its step.
const Name = "publish"

// Handler publishes events. It is safe for concurrent use.
type Handler struct {
	broker broker.Broker
	source string
	redact func(body []byte) ([]byte, error)
}

// New parses the URL of the broker. It does not connect: a broker that is down delays events, not the start.
func New(_ context.Context, config Config, deps handler.Deps) (*Handler, error) {
	made, err := open(config.URL)
	if err != nil {
		return nil, fmt.Errorf("the address of the broker %w", err)
	}
	return &Handler{broker: made, source: config.Source, redact: deps.Redact}, nil
}

// open returns the broker of a URL. The text of the error follows the name of the variable.
func open(text secret.Value) (broker.Broker, error) {
	address, err := broker.ParseAddress(text.Reveal())
	if err != nil {
		return nil, err
	}
	switch address.Scheme {
	case "nats", "tls":
		return nats.New(address)
	case "kafka":
		return kafka.New(address)
	case "amqp", "amqps":
		return rabbitmq.New(address)
	case "awssns", "awssqs":
		return aws.New(address)
	case "gcppubsub":
		return googlepubsub.New(address)
	default:
		return nil, errors.New("begins with none of nats:// tls:// kafka:// amqp:// amqps:// awssns:// awssqs:// gcppubsub://")
	}
}

// Check returns an error if the broker cannot store messages.
func (h *Handler) Check(ctx context.Context) error { return h.broker.Check(ctx) }

// Close closes the connection to the broker. It must not be called during Handle.
func (h *Handler) Close() error { return h.broker.Close() }

// Handle publishes the event.
func (h *Handler) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return handler.Outcome{}, err
	}
	message, err := h.message(e)
	if err != nil {
		return handler.Outcome{}, err
	}
	return handler.Outcome{}, h.broker.Publish(ctx, message)
}
