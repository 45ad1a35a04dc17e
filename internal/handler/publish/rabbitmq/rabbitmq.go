// Package rabbitmq publishes to an exchange of RabbitMQ, by AMQP 0-9-1. A message counts
// when the broker has confirmed it and has not returned it: it is persistent, and
// mandatory, so that one that no queue takes is a failure and not lost.
package rabbitmq

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// Broker is RabbitMQ, with the exchange and routing key to publish to.
type Broker struct {
	target target
	link   *broker.Link[*connection]
}

// New reads an address such as amqp://user:password@host/vhost?exchange=events&routing_key=deep-image.
// It connects to nothing.
func New(address broker.Address) (*Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	made := &Broker{target: target}
	made.link = broker.NewLink(made.target.connect)
	return made, nil
}

// Publish sends the message and waits until the broker has confirmed it.
func (b *Broker) Publish(ctx context.Context, message broker.Message) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	return connection.publish(ctx, b.target, message)
}

// Check connects and looks whether the exchange, or else the queue, is there.
func (b *Broker) Check(ctx context.Context) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	return connection.check(ctx, b.target)
}

// Close ends the connection; no Publish may be under way.
func (b *Broker) Close() error {
	b.link.Close()
	return nil
}
