package kafka

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	dialTimeout    = 5 * time.Second        // to connect to one broker
	metadataMinAge = 500 * time.Millisecond // between two requests for metadata, such as for an unknown topic
	unknownRetries = 1                      // before an unknown topic is an error
)

// connection is a client of the cluster that has logged in once. It reconnects to the brokers itself.
type connection struct {
	*kgo.Client
	target target
	broken atomic.Bool // a message timed out
}

// Alive reports whether no message has timed out.
func (c *connection) Alive() bool { return !c.broken.Load() }

// connect makes a client and pings one broker, login included.
func (t target) connect(ctx context.Context) (*connection, error) {
	client, err := kgo.NewClient(t.options()...)
	if err != nil {
		return nil, broker.Failed("make a Kafka client: %w", err)
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, connectFailure(ctx, err)
	}
	return &connection{Client: client, target: t}, nil
}

// options returns the options of an idempotent producer that waits for all replicas in sync. Without
// AllowIdempotentProduceCancellation a message under way could not be cancelled while the broker is down. Consumers
// recognise its repeat by the id.
func (t target) options() []kgo.Opt {
	options := []kgo.Opt{
		kgo.ClientID("receiver"), kgo.SeedBrokers(t.brokers...), kgo.DialTimeout(dialTimeout), kgo.DisableClientMetrics(),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.AllowIdempotentProduceCancellation(), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(t.maxBytes), kgo.MetadataMinAge(metadataMinAge), kgo.UnknownTopicRetries(unknownRetries),
	}
	if t.mechanism != "" {
		options = append(options, kgo.SASL(t.authentication()))
	}
	if t.tls != nil {
		options = append(options, kgo.DialTLSConfig(t.tls))
	}
	return options
}
