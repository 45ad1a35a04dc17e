package aws

import (
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

// target is a topic or a queue.
type target struct {
	topic    string // its ARN
	queue    string // its URL
	region   string
	endpoint string // instead of that of the region; "" for none
}

// parse parses the URL. The text of the error follows the name of the variable.
func parse(address broker.Address) (target, error) {
	if address.User != "" {
		return target{}, errors.New("has a user; for AWS credentials come from its environment variables, its files or a role")
	}
	made := target{region: address.Parameters.Text("region"), endpoint: address.Parameters.Text("endpoint")}
	if made.endpoint != "" && !isEndpoint(made.endpoint) {
		address.Parameters.Fault("endpoint", "is no address such as https://host or http://127.0.0.1:4566")
	}
	var err error
	if address.Scheme == "awssns" {
		err = made.readTopic(address)
	} else {
		err = made.readQueue(address)
	}
	if err != nil {
		return target{}, err
	}
	return made, address.Parameters.Err()
}

func (t *target) readTopic(address broker.Address) error {
	parsed, err := arn.Parse(address.Path)
	if err != nil || parsed.Service != "sns" || parsed.Resource == "" || len(address.Hosts) > 0 {
		return errors.New("names no topic; write its ARN behind three slashes, such as awssns:///arn:aws:sns:eu-central-1:123456789012:topic")
	}
	t.topic = address.Path
	if t.region == "" {
		t.region = parsed.Region
	}
	return nil
}

func (t *target) readQueue(address broker.Address) error {
	if len(address.Hosts) != 1 || strings.Count(address.Path, "/") != 1 || strings.HasPrefix(address.Path, "/") || strings.HasSuffix(address.Path, "/") {
		return errors.New("names no queue; write its URL, such as awssqs://sqs.eu-central-1.amazonaws.com/123456789012/queue")
	}
	host := address.Hosts[0]
	t.queue = "https://" + host + "/" + address.Path
	if part, found := strings.CutPrefix(host, "sqs."); found && t.region == "" {
		t.region, _, _ = strings.Cut(part, ".")
	}
	if t.region == "" {
		return errors.New("names no region; add it as in ?region=eu-central-1")
	}
	return nil
}

func isEndpoint(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Hostname() != "" && parsed.User == nil
}

// place returns the topic or queue, for errors.
func (t target) place() string {
	if t.topic != "" {
		return "SNS topic " + t.topic
	}
	return "SQS queue " + t.queue
}
