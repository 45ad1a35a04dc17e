package rabbitmq

import (
	"context"
	"errors"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/rabbitmq/amqp091-go"
)

// connectFailure classifies a failed connection.
func (t target) connectFailure(ctx context.Context, err error) error {
	reply, replied := errors.AsType[*amqp091.Error](err)
	switch {
	case ctx.Err() != nil:
		return broker.ConnectionFailed("RabbitMQ cannot be reached", ctx.Err())
	case errors.Is(err, amqp091.ErrCredentials):
		return broker.Refused("RabbitMQ closed the connection during the login, as it does if user or password are wrong")
	case errors.Is(err, amqp091.ErrSASL):
		return broker.Refused("RabbitMQ does not support the login of the parameter sasl")
	case errors.Is(err, amqp091.ErrVhost), replied && reply.Code == amqp091.NotAllowed:
		return broker.Missing("RabbitMQ denies this user the vhost %s; create it (\"rabbitmqctl add_vhost\") and set its permissions", t.vhost)
	case replied && reply.Code == amqp091.AccessRefused:
		return broker.Refused("RabbitMQ refused the login: check user and password")
	default:
		return broker.ConnectionFailed("RabbitMQ cannot be reached", err)
	}
}

// failure classifies the error of a message or lookup; nil stays nil.
func (t target) failure(message broker.Message, err error) error {
	reply, replied := errors.AsType[*amqp091.Error](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errReturned):
		return broker.Missing("RabbitMQ has no queue for %s; bind one to it", t.place())
	case errors.Is(err, errNack):
		return broker.Full("RabbitMQ did not store the message: %w; a queue may be full", err)
	case !replied || !reply.Server:
		return broker.ConnectionFailed("the connection to RabbitMQ ended before the message was confirmed", err)
	case reply.Code == amqp091.NotFound:
		return broker.Missing("RabbitMQ has no %s; create it", t.place())
	case reply.Code == amqp091.AccessRefused:
		return broker.Refused("RabbitMQ denies this user to write to the %s", t.place())
	case reply.Code == amqp091.PreconditionFailed && strings.Contains(reply.Reason, "larger than"):
		return broker.TooLarge(message, "RabbitMQ accepts no message of this size (max_message_size)")
	default:
		return broker.Failed("RabbitMQ did not store the message: %s (code %d)", broker.Quote(reply.Reason), reply.Code)
	}
}

// place returns the exchange or queue, for errors.
func (t target) place() string {
	if t.exchange == "" {
		return "queue " + t.key
	}
	return "exchange " + t.exchange + " with the routing key " + t.key
}
