package aws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// The attribute with the media type of the body.
const (
	typeAttribute = "content-type"
	attributeType = "String"
)

// topic is a topic of SNS.
type topic struct {
	arn    string
	client *sns.Client
}

func newTopic(t target, settings aws.Config) *topic {
	return &topic{arn: t.topic, client: sns.NewFromConfig(settings)}
}

func (t *topic) send(ctx context.Context, message broker.Message) error {
	group, id := ordering(t.arn, message)
	input := &sns.PublishInput{
		MessageGroupId: group, MessageDeduplicationId: id,
		TopicArn: aws.String(t.arn), Message: aws.String(string(message.Body)),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{
			typeAttribute: {DataType: aws.String(attributeType), StringValue: aws.String(broker.ContentType)},
		},
	}
	output, err := t.client.Publish(ctx, input)
	if err != nil {
		return err
	}
	return checkID(output.MessageId)
}

func (t *topic) lookup(ctx context.Context) error {
	_, err := t.client.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: aws.String(t.arn)})
	return err
}

// queue is a queue of SQS.
type queue struct {
	url    string
	client *sqs.Client
}

func newQueue(t target, settings aws.Config) *queue {
	return &queue{url: t.queue, client: sqs.NewFromConfig(settings)}
}

func (q *queue) send(ctx context.Context, message broker.Message) error {
	group, id := ordering(q.url, message)
	input := &sqs.SendMessageInput{
		MessageGroupId: group, MessageDeduplicationId: id,
		QueueUrl: aws.String(q.url), MessageBody: aws.String(string(message.Body)),
		MessageAttributes: map[string]sqstypes.MessageAttributeValue{
			typeAttribute: {DataType: aws.String(attributeType), StringValue: aws.String(broker.ContentType)},
		},
	}
	output, err := q.client.SendMessage(ctx, input)
	if err != nil {
		return err
	}
	return checkID(output.MessageId)
}

func (q *queue) lookup(ctx context.Context) error {
	_, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(q.url), AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn},
	})
	return err
}

var errNoID = errors.New("the response has no message id")

// checkID returns an error if the service returned no id: the message may not be stored.
func checkID(id *string) error {
	if aws.ToString(id) == "" {
		return errNoID
	}
	return nil
}

// ordering returns the message group and the deduplication id for a FIFO topic or queue, and nil for any other.
func ordering(name string, message broker.Message) (group, id *string) {
	if !strings.HasSuffix(name, ".fifo") {
		return nil, nil
	}
	return aws.String(groupOf(message.Job)), aws.String(message.ID)
}

// groupOf returns the message group of a job: the job itself, or its hash if AWS does not accept it (128 printable ASCII
// characters).
func groupOf(job string) string {
	const maxBytes, first, last = 128, '!', '~'
	if len(job) <= maxBytes && strings.IndexFunc(job, func(r rune) bool { return r < first || r > last }) < 0 {
		return job
	}
	sum := sha256.Sum256([]byte(job))
	return hex.EncodeToString(sum[:])
}
