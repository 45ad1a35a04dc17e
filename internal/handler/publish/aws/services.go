package aws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// The attribute that tells consumers the type of the body.
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
	input := &sns.PublishInput{
		TopicArn: aws.String(t.arn), Message: aws.String(string(message.Body)),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{
			typeAttribute: {DataType: aws.String(attributeType), StringValue: aws.String(broker.ContentType)},
		},
	}
	if isFIFO(t.arn) {
		input.MessageGroupId, input.MessageDeduplicationId = aws.String(group(message.Job)), aws.String(message.ID)
	}
	output, err := t.client.Publish(ctx, input)
	if err == nil && aws.ToString(output.MessageId) == "" {
		return errNoID
	}
	return err
}

func (t *topic) look(ctx context.Context) error {
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
	input := &sqs.SendMessageInput{
		QueueUrl: aws.String(q.url), MessageBody: aws.String(string(message.Body)),
		MessageAttributes: map[string]sqstypes.MessageAttributeValue{
			typeAttribute: {DataType: aws.String(attributeType), StringValue: aws.String(broker.ContentType)},
		},
	}
	if isFIFO(q.url) {
		input.MessageGroupId, input.MessageDeduplicationId = aws.String(group(message.Job)), aws.String(message.ID)
	}
	output, err := q.client.SendMessage(ctx, input)
	if err == nil && aws.ToString(output.MessageId) == "" {
		return errNoID
	}
	return err
}

func (q *queue) look(ctx context.Context) error {
	_, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(q.url), AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn},
	})
	return err
}

func isFIFO(name string) bool { return strings.HasSuffix(name, ".fifo") }

// group is the job as the group of messages that keep their order, of which AWS takes
// 128 letters, digits and signs; any other job is told by its hash.
func group(job string) string {
	const longest, first, last = 128, '!', '~'
	if len(job) <= longest && strings.IndexFunc(job, func(r rune) bool { return r < first || r > last }) < 0 {
		return job
	}
	sum := sha256.Sum256([]byte(job))
	return hex.EncodeToString(sum[:])
}
