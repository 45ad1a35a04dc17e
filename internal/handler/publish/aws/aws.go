// Package aws publishes to a topic of Amazon SNS or to a queue of Amazon SQS. A message
// counts when the service has answered with the id that it gave it. Topics and
// queues whose name ends with .fifo keep the order of a job's events, and drop
// repeats within five minutes.
package aws

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// Broker is SNS or SQS, with the topic or queue to publish to.
type Broker struct {
	target target
	link   *broker.Link[*connection]
}

// New reads an address such as awssns:///arn:aws:sns:eu-central-1:123456789012:topic or
// awssqs://sqs.eu-central-1.amazonaws.com/123456789012/queue. It connects to nothing.
// Credentials are looked for where all programs of AWS look for them.
func New(address broker.Address) (*Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	made := &Broker{target: target}
	made.link = broker.NewLink(made.target.connect)
	return made, nil
}

// connection is a client that has credentials; the library renews them.
type connection struct {
	service
	client *http.Client
}

// service is the part of SNS or SQS that is used.
type service interface {
	send(ctx context.Context, message broker.Message) error
	look(ctx context.Context) error
}

// Alive says that requests can be tried: each has a connection if it needs one.
func (c *connection) Alive() bool { return true }

// Close ends idle connections.
func (c *connection) Close() { c.client.CloseIdleConnections() }

// connect finds credentials.
func (t target) connect(ctx context.Context) (*connection, error) {
	settings, err := config.LoadDefaultConfig(ctx, config.WithRegion(t.region), config.WithRetryer(newRetryer))
	if err != nil {
		return nil, broker.Refused("the settings of AWS in the environment or in its files cannot be used: %s", broker.Quote(err.Error()))
	}
	if _, err := settings.Credentials.Retrieve(ctx); err != nil {
		return nil, credentialsFailure(ctx, err)
	}
	if t.endpoint != "" {
		settings.BaseEndpoint = aws.String(t.endpoint)
	}
	made := &connection{client: newClient(settings)}
	settings.HTTPClient = made.client
	if t.topic != "" {
		made.service = newTopic(t, settings)
	} else {
		made.service = newQueue(t, settings)
	}
	return made, nil
}

// newClient makes a client like the library's, with the authorities of AWS_CA_BUNDLE
// if they are set, whose connections can be closed.
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

// newRetryer repeats a request once, for what passes at once. All else is left to the
// pipeline, which keeps nobody waiting.
func newRetryer() aws.Retryer {
	const attempts, longestDelay = 2, time.Second
	return retry.AddWithMaxBackoffDelay(retry.AddWithMaxAttempts(retry.NewStandard(), attempts), longestDelay)
}

// Publish sends the message and waits for the id that it is given.
func (b *Broker) Publish(ctx context.Context, message broker.Message) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	if err := connection.send(ctx, message); err != nil {
		return b.target.failure(ctx, message, err)
	}
	return nil
}

// Check asks for the topic or the queue. Who may publish need not be allowed to ask:
// that is no error.
func (b *Broker) Check(ctx context.Context) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	if err := connection.look(ctx); err != nil && !isForbidden(err) {
		return b.target.failure(ctx, broker.Message{}, err)
	}
	return nil
}

// Close ends all connections; no Publish may be under way.
func (b *Broker) Close() error {
	b.link.Close()
	return nil
}

var errNoID = errors.New("the answer holds no id of the message")
