package publish_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, address, source, fault string }{
		{"nats", "nats://u:p@a:1,b/deep-image.complete?credentials=/dev/null", "/receiver", ""},
		{"nats with TLS", "tls://a/s", "/receiver", ""},
		{"kafka", "kafka://u:p@a,b:2/t?tls=true&sasl=scram-sha-256&max_message_bytes=2000", "/receiver", ""},
		{"rabbitmq", "amqp://u:p@a/v?exchange=e&routing_key=k", "/receiver", ""},
		{"rabbitmq with TLS", "amqps://a?routing_key=q", "/receiver", ""},
		{"sns", "awssns:///arn:aws:sns:eu-central-1:1:t", "/receiver", ""},
		{"sqs", "awssqs://sqs.eu-central-1.amazonaws.com/1/q", "/receiver", ""},
		{"sqs elsewhere", "awssqs://localhost/1/q?region=eu-west-1&endpoint=http://127.0.0.1:4566", "/receiver", ""},
		{"pubsub", "gcppubsub://projects/p/topics/t", "/receiver", ""},
		{"pubsub, short", "gcppubsub://p/t?endpoint=http://127.0.0.1:8085", "https://hooks.example.com/a?b#c", ""},

		{"nothing", "", "/receiver", "URL has to be set"},
		{"no address", "T0KEN", "/receiver", "URL is not an address"},
		{"unknown", "mqtt://u:T0KEN@h/t", "/receiver", "URL begins with none of nats://"},
		{"nats without a host", "nats:///s", "/receiver", "URL names no host"},
		{"nats without a subject", "nats://h", "/receiver", "URL names no subject"},
		{"nats with a wildcard", "nats://h/a.*", "/receiver", "URL has a subject with"},
		{"nats with a file that is missing", "nats://h/s?credentials=/none", "/receiver", "URL has the parameter credentials, which names a file that cannot be read"},
		{"nats with a parameter of others", "nats://h/s?exchange=e", "/receiver", "URL has a parameter exchange that is not known here"},
		{"kafka without a topic", "kafka://h", "/receiver", "URL names no topic"},
		{"kafka with two topics", "kafka://h/a,b", "/receiver", "URL names no topic"},
		{"kafka with a mechanism and no user", "kafka://h/t?sasl=plain", "/receiver", "URL has the parameter sasl, which needs a user"},
		{"kafka with files and no TLS", "kafka://h/t?ca=/none", "/receiver", "URL has the parameter ca, which needs a connection with TLS"},
		{"kafka with a size out of range", "kafka://h/t?max_message_bytes=1", "/receiver", "is not a number from 1024"},
		{"rabbitmq without a target", "amqp://h/v", "/receiver", "URL names neither an exchange nor a routing_key"},
		{"rabbitmq with a long name", "amqp://h/v?routing_key=" + strings.Repeat("k", 256), "/receiver", "of more than 255 bytes"},
		{"rabbitmq, external without a certificate", "amqps://h/v?routing_key=k&sasl=external", "/receiver", "needs the parameters cert and key"},
		{"sns without a topic", "awssns:///arn:aws:sqs:eu:1:q", "/receiver", "URL names no topic"},
		{"sns with a user", "awssns://u:T0KEN@/arn:aws:sns:eu:1:t", "/receiver", "URL has a user"},
		{"sqs without a queue", "awssqs://h/q", "/receiver", "URL names no queue"},
		{"sqs without a region", "awssqs://localhost/1/q", "/receiver", "URL names no region"},
		{"sqs with an odd endpoint", "awssqs://h/1/q?region=r&endpoint=h:1", "/receiver", "URL has the parameter endpoint, which is no address"},
		{"pubsub without a topic", "gcppubsub://projects/p/subscriptions/t", "/receiver", "URL names no topic"},
		{"pubsub with a user", "gcppubsub://T0KEN@p/t", "/receiver", "URL has a user"},
		{"pubsub with an odd endpoint", "gcppubsub://p/t?endpoint=ftp://h", "/receiver", "URL has the parameter endpoint, which is no address"},

		{"no source", "nats://h/s", "", "SOURCE is no URI reference"},
		{"source with a blank", "nats://h/s", "my receiver", "SOURCE is no URI reference"},
		{"source with an accent", "nats://h/s", "/é", "SOURCE is no URI reference"},
		{"source with an escape that is none", "nats://h/s", "/%zz", "SOURCE is no URI reference"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config := publish.Config{URL: secret.New(row.address), Source: row.source}
			err := config.Validate()
			switch {
			case row.fault == "" && err != nil:
				t.Errorf("got %v", err)
			case row.fault != "":
				conflict, ok := errors.AsType[*configtypes.Conflict](err)
				if !ok || !strings.Contains(conflict.Error(), row.fault) || strings.Contains(conflict.Error(), "T0KEN") {
					t.Errorf("got %v, want %q", err, row.fault)
				}
			}
			made, err := publish.New(t.Context(), config, handler.Deps{})
			if usable := row.fault == "" || strings.HasPrefix(row.fault, "SOURCE"); (err == nil) != usable {
				t.Errorf("New says %v", err)
			}
			if err == nil {
				if err := made.Close(); err != nil {
					t.Error(err)
				}
			} else if strings.Contains(err.Error(), "T0KEN") {
				t.Errorf("New tells %v", err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	if got := (publish.Config{Timeout: time.Minute, Concurrency: 3}).Limits(); got != (handler.Limits{Concurrency: 3, Timeout: time.Minute}) {
		t.Errorf("%+v", got)
	}
}
