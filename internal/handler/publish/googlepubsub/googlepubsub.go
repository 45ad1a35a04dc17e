// Package googlepubsub publishes to a topic of Google Cloud Pub/Sub. A message counts
// when the service has answered with the id that it gave it. The one call that is
// needed is made by HTTP: the client library would add 9 MB to the binary.
package googlepubsub

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// Broker is Pub/Sub, with the topic to publish to.
type Broker struct {
	target target
	link   *broker.Link[*connection]
}

// New reads an address such as gcppubsub://projects/my-project/topics/deep-image. It
// connects to nothing. Credentials are Google's application default credentials.
func New(address broker.Address) (*Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	made := &Broker{target: target}
	made.link = broker.NewLink(made.target.connect)
	return made, nil
}

// Publish sends the message and waits for the id that it is given.
func (b *Broker) Publish(ctx context.Context, message broker.Message) error {
	if len(message.Body) > maxBytes {
		return broker.TooLarge(message, "Google Pub/Sub takes at most %d", maxBytes)
	}
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	request := publishRequest{Messages: []publishedMessage{{Data: message.Body, Attributes: map[string]string{"content-type": broker.ContentType}}}}
	var answer publishAnswer
	if err := connection.call(ctx, b.target, "publish", request, &answer); err != nil {
		return b.target.failure(ctx, message, err)
	}
	if len(answer.MessageIDs) != 1 {
		return broker.Failed("Google Pub/Sub answered with %d ids for one message", len(answer.MessageIDs))
	}
	return nil
}

// Check asks whether the credentials may publish to the topic. An emulator, which knows
// no permissions, is asked for the topic.
func (b *Broker) Check(ctx context.Context) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	if b.target.isEmulator() {
		err = connection.call(ctx, b.target, "", nil, &struct{}{})
	} else {
		err = connection.mayPublish(ctx, b.target)
	}
	if err != nil {
		return b.target.failure(ctx, broker.Message{}, err)
	}
	return nil
}

// Close ends all connections; no Publish may be under way.
func (b *Broker) Close() error {
	b.link.Close()
	return nil
}
