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
	metadataMinAge = 500 * time.Millisecond // before the brokers are asked again, such as for a topic that they do not know
	unknownRetries = 1                      // after them a topic that is unknown is told as such
)

// connection is a client of the cluster, which has answered once. It mends its
// connections to the brokers itself.
type connection struct {
	*kgo.Client
	closed atomic.Bool
}

// Alive says whether it was not closed.
func (c *connection) Alive() bool { return !c.closed.Load() }

// Close ends all connections; who waits for an acknowledgement is told that there is none.
func (c *connection) Close() {
	if !c.closed.Swap(true) {
		c.Client.Close()
	}
}

// connect makes a client and has one broker answer, log in included.
func (t target) connect(ctx context.Context) (*connection, error) {
	client, err := kgo.NewClient(t.options()...)
	if err != nil {
		return nil, broker.Failed("no client of Kafka can be made: %w", err)
	}
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, connectFailure(ctx, err)
	}
	return &connection{Client: client}, nil
}

// options are those of an idempotent producer that waits for all replicas in sync,
// which is the library's default. Without AllowIdempotentProduceCancellation a
// message that is on its way could not be given up for as long as the broker is gone;
// what is published again after that is a repeat that consumers know by its id.
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
