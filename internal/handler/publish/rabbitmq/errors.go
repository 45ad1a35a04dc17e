package rabbitmq

import (
	"context"
	"errors"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/rabbitmq/amqp091-go"
)

// connectFailure gives a failed connection its meaning.
func (t target) connectFailure(ctx context.Context, err error) error {
	said, answered := errors.AsType[*amqp091.Error](err)
	switch {
	case ctx.Err() != nil:
		return broker.ConnectionFailed("RabbitMQ cannot be reached", ctx.Err())
	case errors.Is(err, amqp091.ErrCredentials):
		return broker.Refused("RabbitMQ closed the connection during the log in, as it does when user or password are wrong")
	case errors.Is(err, amqp091.ErrSASL):
		return broker.Refused("RabbitMQ does not know the way of the log in that the parameter sasl asks for")
	case errors.Is(err, amqp091.ErrVhost), answered && said.Code == amqp091.NotAllowed:
		return broker.Missing("RabbitMQ does not let this user into the vhost %s; create it (\"rabbitmqctl add_vhost\"), and set its permissions", t.vhost)
	case answered && said.Code == amqp091.AccessRefused:
		return broker.Refused("RabbitMQ refused the log in; user or password are wrong")
	default:
		return broker.ConnectionFailed("RabbitMQ cannot be reached", err)
	}
}

// failure gives a message that was not confirmed, or a question, its meaning; nil stays nil.
func (t target) failure(message broker.Message, err error) error {
	said, answered := errors.AsType[*amqp091.Error](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errReturned):
		return broker.Missing("RabbitMQ has no queue for %s; bind one to it", t.place())
	case errors.Is(err, errNack):
		return broker.Failed("RabbitMQ did not keep the message: %w; a queue may be full", err)
	case !answered || !said.Server:
		return broker.ConnectionFailed("the connection to RabbitMQ ended before the message was confirmed", err)
	case said.Code == amqp091.NotFound:
		return broker.Missing("RabbitMQ has not got the %s; create it", t.place())
	case said.Code == amqp091.AccessRefused:
		return broker.Refused("RabbitMQ does not let this user write to the %s", t.place())
	case said.Code == amqp091.PreconditionFailed && strings.Contains(said.Reason, "larger than"):
		return broker.TooLarge(message, "RabbitMQ does not take so large ones (max_message_size)")
	default:
		return broker.Failed("RabbitMQ did not keep the message: %s (code %d)", broker.Quote(said.Reason), said.Code)
	}
}

// place names what messages are sent to.
func (t target) place() string {
	if t.exchange == "" {
		return "queue " + t.key
	}
	return "exchange " + t.exchange + " with the routing key " + t.key
}
