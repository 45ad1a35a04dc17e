// Package nats publishes to a stream of NATS JetStream. The stream acknowledges a message once it has stored it, and drops
// repeats within its duplicate window.
package nats

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// New parses a URL such as nats://user:password@host:4222/subject. It does not connect.
func New(address broker.Address) (broker.Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	return broker.NewSharedConn(target.connect), nil
}

// Publish sends the message and waits until the stream has stored it.
func (c *connection) Publish(ctx context.Context, message broker.Message) error {
	sent := nats.NewMsg(c.subject)
	sent.Header.Set("Content-Type", broker.ContentType)
	sent.Data = message.Body
	if _, err := c.stream.PublishMsg(ctx, sent, jetstream.WithMsgID(message.ID)); err != nil {
		return c.failure(ctx, message, err)
	}
	return nil
}

// Check returns an error if the server reports that no stream stores the subject. A user may be allowed to publish but
// not to ask: no response is not an error.
func (c *connection) Check(ctx context.Context) error {
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	_, err := c.stream.StreamNameBySubject(lookup, c.subject)
	return c.lookupFailure(ctx, err)
}
