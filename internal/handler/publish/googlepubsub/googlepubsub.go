// Package googlepubsub publishes to a topic of Google Cloud Pub/Sub. The service acknowledges a message with an id. The
// calls are made over HTTP, because the client library would add 9 MB to the binary.
package googlepubsub

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// New parses a URL such as gcppubsub://projects/my-project/topics/deep-image. It does not connect. Credentials are
// Google's application default credentials.
func New(address broker.Address) (broker.Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	return broker.NewSharedConn(target.connect), nil
}

// Publish sends the message and waits for its id.
func (c *connection) Publish(ctx context.Context, message broker.Message) error {
	if len(message.Body) > maxBytes {
		return broker.TooLarge(message, "Google Pub/Sub accepts at most %d", maxBytes)
	}
	request := publishRequest{Messages: []publishedMessage{{Data: message.Body, Attributes: map[string]string{"content-type": broker.ContentType}}}}
	var response publishResponse
	if err := c.call(ctx, "publish", request, &response); err != nil {
		return c.target.failure(ctx, message, err)
	}
	if len(response.MessageIDs) != 1 {
		return broker.Failed("Google Pub/Sub returned %d ids for one message", len(response.MessageIDs))
	}
	return nil
}

// Check returns an error if the credentials may not publish to the topic. An emulator has no permissions: there it looks
// up the topic.
func (c *connection) Check(ctx context.Context) error {
	var err error
	if c.target.isEmulator() {
		err = c.call(ctx, "", nil, &struct{}{})
	} else {
		err = c.checkPermission(ctx)
	}
	if err != nil {
		return c.target.failure(ctx, broker.Message{}, err)
	}
	return nil
}
