// Package kafka publishes to a topic of Kafka. A message counts when all replicas in
// sync have it (acks=all); the client's own repeats are dropped by the broker
// (idempotent producer). The job is the key, so that events of a job keep their order.
package kafka

import (
	"context"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Broker is a Kafka cluster, with the topic to publish to.
type Broker struct {
	target target
	link   *broker.Link[*connection]
}

// New reads an address such as kafka://host1:9092,host2:9092/topic. It connects to nothing.
func New(address broker.Address) (*Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	made := &Broker{target: target}
	made.link = broker.NewLink(made.target.connect)
	return made, nil
}

// Publish sends the message and waits until all replicas in sync have it.
func (b *Broker) Publish(ctx context.Context, message broker.Message) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	record := &kgo.Record{
		Topic: b.target.topic, Key: []byte(message.Job), Value: message.Body,
		Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(broker.ContentType)}},
	}
	acknowledged := make(chan error, 1)
	connection.Produce(ctx, record, func(_ *kgo.Record, err error) { acknowledged <- err })
	select {
	case err = <-acknowledged:
	case <-ctx.Done(): // the library may need longer to see it
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		b.link.Drop(connection) // the next one says what is wrong with the cluster
	}
	return b.target.failure(ctx, message, err)
}

// Check connects and asks for the topic.
func (b *Broker) Check(ctx context.Context) error {
	connection, err := b.link.Get(ctx)
	if err != nil {
		return err
	}
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = new(b.target.topic)
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{topic}
	answer, err := request.RequestWith(ctx, connection.Client)
	if err != nil {
		return b.target.failure(ctx, broker.Message{}, err)
	}
	for _, topic := range answer.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return b.target.failure(ctx, broker.Message{}, err)
		}
	}
	return nil
}

// Close ends all connections; no Publish may be under way.
func (b *Broker) Close() error {
	b.link.Close()
	return nil
}
