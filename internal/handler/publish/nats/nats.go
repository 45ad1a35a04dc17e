// Package nats publishes to a stream of NATS JetStream. A message counts when the
// stream says that it has stored it, and a repeat within the stream's window of
// duplicates is dropped there.
package nats

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Broker is NATS, with the subject to publish to.
type Broker struct {
	target target
	link   *broker.Link[*connection]
}

// New reads an address such as nats://user:password@host:4222/subject. It connects to nothing.
func New(address broker.Address) (*Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	made := &Broker{target: target}
	made.link = broker.NewLink(made.target.connect)
	return made, nil
}

// Publish sends the message and waits until the stream has stored it.
func (b *Broker) Publish(ctx context.Context, message broker.Message) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	sent := nats.NewMsg(b.target.subject)
	sent.Header.Set("Content-Type", broker.ContentType)
	sent.Data = message.Body
	if _, err := connection.stream.PublishMsg(ctx, sent, jetstream.WithMsgID(message.ID)); err != nil {
		return connection.failure(ctx, message, err)
	}
	return nil
}

// Check connects and asks for the stream. Who may publish need not be allowed to
// ask: only the answer that there is none is an error.
func (b *Broker) Check(ctx context.Context) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askingTimeout)
	defer cancel()
	_, err = connection.stream.StreamNameBySubject(asking, b.target.subject)
	return connection.absence(ctx, err)
}

// Close ends the connection; no Publish may be under way.
func (b *Broker) Close() error {
	b.link.Close()
	return nil
}
