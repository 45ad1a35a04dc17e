// Package publish is the handler that tells a message broker of an event, as a
// CloudEvent. The step is done when the broker has acknowledged that it keeps the
// message. After a crash or a replay the same event is published again under the
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

// Name is the handler's name, as it is listed, configured and recorded.
const Name = "publish"

// Handler publishes events. It is safe for use by many goroutines.
type Handler struct {
	broker broker.Broker
	source string
	redact func(body []byte) ([]byte, error)
}

// New reads the address of the broker. It connects to nothing: a broker that is down
// delays events, not the start.
func New(_ context.Context, config Config, deps handler.Deps) (*Handler, error) {
	made, err := open(config.URL)
	if err != nil {
		return nil, fmt.Errorf("the address of the broker %w", err)
	}
	return &Handler{broker: made, source: config.Source, redact: deps.Redact}, nil
}

// open gives the broker that an address names. The error goes on from the name of a variable.
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

// Check connects to the broker and looks whether messages could be stored there.
func (h *Handler) Check(ctx context.Context) error { return h.broker.Check(ctx) }

// Close ends the connection to the broker; no Handle may be under way.
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
