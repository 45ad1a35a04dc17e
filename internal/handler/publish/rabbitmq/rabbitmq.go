// Package rabbitmq publishes to an exchange of RabbitMQ over AMQP 0-9-1. Messages are persistent and mandatory: the broker
// confirms a message once it has stored it, and returns one that no queue takes, which is a failure.
package rabbitmq

import "github.com/deepimage-receiver/receiver/internal/handler/publish/broker"

// New parses a URL such as amqp://user:password@host/vhost?exchange=events&routing_key=deep-image. It does not connect.
func New(address broker.Address) (broker.Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	return broker.NewSharedConn(target.connect), nil
}
