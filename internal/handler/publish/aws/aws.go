// Package aws publishes to a topic of Amazon SNS or to a queue of Amazon SQS. The service acknowledges a message with an
// id. Topics and queues whose name ends with .fifo keep the order of a job's events and drop repeats within five minutes.
package aws

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// New parses a URL such as awssns:///arn:aws:sns:eu-central-1:123456789012:topic or
// awssqs://sqs.eu-central-1.amazonaws.com/123456789012/queue. It does not connect. Credentials come from the default chain
// of the AWS SDK.
func New(address broker.Address) (broker.Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	return broker.NewSharedConn(target.connect), nil
}

// connection is a client with credentials, which the library renews.
type connection struct {
	service
	target target
	client *http.Client
}

// service is the used part of SNS or SQS.
type service interface {
	send(ctx context.Context, message broker.Message) error
	lookup(ctx context.Context) error
}

// Publish sends the message and waits for its id.
func (c *connection) Publish(ctx context.Context, message broker.Message) error {
	if err := c.send(ctx, message); err != nil {
		return c.target.failure(ctx, message, err)
	}
	return nil
}

// Check looks up the topic or queue. Credentials may allow to publish but not to look up: that is not an error.
func (c *connection) Check(ctx context.Context) error {
	if err := c.lookup(ctx); err != nil && !isForbidden(err) {
		return c.target.failure(ctx, broker.Message{}, err)
	}
	return nil
}

// Alive returns true: each request connects as needed.
func (c *connection) Alive() bool { return true }

// Close closes idle connections.
func (c *connection) Close() { c.client.CloseIdleConnections() }

// connect finds the credentials.
func (t target) connect(ctx context.Context) (*connection, error) {
	settings, err := config.LoadDefaultConfig(ctx, config.WithRegion(t.region), config.WithRetryer(newRetryer))
	if err != nil {
		return nil, broker.Refused("load the AWS settings of the environment and its files: %s", broker.Quote(err.Error()))
	}
	if _, err := settings.Credentials.Retrieve(ctx); err != nil {
		return nil, credentialsFailure(ctx, err)
	}
	if t.endpoint != "" {
		settings.BaseEndpoint = aws.String(t.endpoint)
	}
	made := &connection{target: t, client: newClient(settings)}
	settings.HTTPClient = made.client
	if t.topic != "" {
		made.service = newTopic(t, settings)
	} else {
		made.service = newQueue(t, settings)
	}
	return made, nil
}

// newClient returns a client like that of the library, with the certificate authorities of AWS_CA_BUNDLE, whose
// connections can be closed.
func newClient(settings aws.Config) *http.Client {
	own, ok := settings.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		own = awshttp.NewBuildableClient()
	}
	return &http.Client{
		Transport:     own.GetTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newRetryer retries a request once, for failures that pass at once. The retry policy of the step handles all others.
func newRetryer() aws.Retryer {
	const attempts, longestDelay = 2, time.Second
	return retry.AddWithMaxBackoffDelay(retry.AddWithMaxAttempts(retry.NewStandard(), attempts), longestDelay)
}
