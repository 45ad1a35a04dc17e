// Package kafka publishes to a topic of Kafka. All replicas in sync acknowledge a message (acks=all); the broker drops
// repeats of the client (idempotent producer). The key of a message is its job, so that events of a job keep their order.
package kafka

import (
	"context"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// New parses a URL such as kafka://host1:9092,host2:9092/topic. It does not connect.
func New(address broker.Address) (broker.Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	return broker.NewSharedConn(target.connect), nil
}

// Publish sends the message and waits until all replicas in sync have it.
func (c *connection) Publish(ctx context.Context, message broker.Message) error {
	record := &kgo.Record{
		Topic: c.target.topic, Key: []byte(message.Job), Value: message.Body,
		Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(broker.ContentType)}},
	}
	acknowledged := make(chan error, 1)
	c.Produce(ctx, record, func(_ *kgo.Record, err error) { acknowledged <- err })
	var err error
	select {
	case err = <-acknowledged:
	case <-ctx.Done(): // the library may notice later
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.broken.Store(true) // a new connection reports what is wrong with the cluster
	}
	return c.target.failure(ctx, message, err)
}

// Check returns an error if the topic does not exist.
func (c *connection) Check(ctx context.Context) error {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = new(c.target.topic)
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{topic}
	response, err := request.RequestWith(ctx, c.Client)
	if err != nil {
		return c.target.failure(ctx, broker.Message{}, err)
	}
	for _, topic := range response.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return c.target.failure(ctx, broker.Message{}, err)
		}
	}
	return nil
}
