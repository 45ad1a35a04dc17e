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
	rows := []struct{ name, address, source, fault string }{ // fault names the variable
		{name: "nats", address: "nats://u:p@a:1,b/deep-image.complete?credentials=/dev/null", source: "/receiver"},
		{name: "nats with TLS", address: "tls://a/s", source: "/receiver"},
		{name: "kafka", address: "kafka://u:p@a,b:2/t?tls=true&sasl=scram-sha-256&max_message_bytes=2000", source: "/receiver"},
		{name: "rabbitmq", address: "amqp://u:p@a/v?exchange=e&routing_key=k", source: "/receiver"},
		{name: "rabbitmq with TLS", address: "amqps://a?routing_key=q", source: "/receiver"},
		{name: "sns", address: "awssns:///arn:aws:sns:eu-central-1:1:t", source: "/receiver"},
		{name: "sqs", address: "awssqs://sqs.eu-central-1.amazonaws.com/1/q", source: "/receiver"},
		{name: "sqs elsewhere", address: "awssqs://localhost/1/q?region=eu-west-1&endpoint=http://127.0.0.1:4566", source: "/receiver"},
		{name: "pubsub", address: "gcppubsub://projects/p/topics/t", source: "/receiver"},
		{name: "pubsub, short", address: "gcppubsub://p/t?endpoint=http://127.0.0.1:8085", source: "https://hooks.example.com/a?b#c"},

		{name: "nothing", address: "", source: "/receiver", fault: "URL"},
		{name: "no address", address: "T0KEN", source: "/receiver", fault: "URL"},
		{name: "unknown", address: "mqtt://u:T0KEN@h/t", source: "/receiver", fault: "URL"},
		{name: "nats without a host", address: "nats:///s", source: "/receiver", fault: "URL"},
		{name: "nats without a subject", address: "nats://h", source: "/receiver", fault: "URL"},
		{name: "nats with a wildcard", address: "nats://h/a.*", source: "/receiver", fault: "URL"},
		{name: "nats with a file that is missing", address: "nats://h/s?credentials=/none", source: "/receiver", fault: "URL"},
		{name: "nats with a parameter of others", address: "nats://h/s?exchange=e", source: "/receiver", fault: "URL"},
		{name: "kafka without a topic", address: "kafka://h", source: "/receiver", fault: "URL"},
		{name: "kafka with two topics", address: "kafka://h/a,b", source: "/receiver", fault: "URL"},
		{name: "kafka with a mechanism and no user", address: "kafka://h/t?sasl=plain", source: "/receiver", fault: "URL"},
		{name: "kafka with files and no TLS", address: "kafka://h/t?ca=/none", source: "/receiver", fault: "URL"},
		{name: "kafka with a size out of range", address: "kafka://h/t?max_message_bytes=1", source: "/receiver", fault: "URL"},
		{name: "rabbitmq without a target", address: "amqp://h/v", source: "/receiver", fault: "URL"},
		{name: "rabbitmq with a long name", address: "amqp://h/v?routing_key=" + strings.Repeat("k", 256), source: "/receiver", fault: "URL"},
		{name: "rabbitmq, external without a certificate", address: "amqps://h/v?routing_key=k&sasl=external", source: "/receiver", fault: "URL"},
		{name: "sns without a topic", address: "awssns:///arn:aws:sqs:eu:1:q", source: "/receiver", fault: "URL"},
		{name: "sns with a user", address: "awssns://u:T0KEN@/arn:aws:sns:eu:1:t", source: "/receiver", fault: "URL"},
		{name: "sqs without a queue", address: "awssqs://h/q", source: "/receiver", fault: "URL"},
		{name: "sqs without a region", address: "awssqs://localhost/1/q", source: "/receiver", fault: "URL"},
		{name: "sqs with an odd endpoint", address: "awssqs://h/1/q?region=r&endpoint=h:1", source: "/receiver", fault: "URL"},
		{name: "pubsub without a topic", address: "gcppubsub://projects/p/subscriptions/t", source: "/receiver", fault: "URL"},
		{name: "pubsub with a user", address: "gcppubsub://T0KEN@p/t", source: "/receiver", fault: "URL"},
		{name: "pubsub with an odd endpoint", address: "gcppubsub://p/t?endpoint=ftp://h", source: "/receiver", fault: "URL"},

		{name: "no source", address: "nats://h/s", source: "", fault: "SOURCE"},
		{name: "source with a blank", address: "nats://h/s", source: "my receiver", fault: "SOURCE"},
		{name: "source with an accent", address: "nats://h/s", source: "/é", fault: "SOURCE"},
		{name: "source with an escape that is none", address: "nats://h/s", source: "/%zz", fault: "SOURCE"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config := publish.Config{URL: secret.New(row.address), Source: row.source}
			err := config.Validate()
			switch {
			case row.fault == "" && err != nil:
				t.Errorf("error = %v, want none", err)
			case row.fault != "":
				conflict, ok := errors.AsType[*configtypes.Conflict](err)
				if !ok || conflict.Name != row.fault || strings.Contains(conflict.Error(), "T0KEN") {
					t.Errorf("error = %v, want a conflict of %s without T0KEN", err, row.fault)
				}
			}
			made, err := publish.New(t.Context(), config, handler.Deps{})
			if usable := row.fault == "" || row.fault == "SOURCE"; (err == nil) != usable {
				t.Errorf("New: error = %v, want success %t", err, usable)
			}
			if err == nil {
				if err := made.Close(); err != nil {
					t.Error(err)
				}
			} else if strings.Contains(err.Error(), "T0KEN") {
				t.Errorf("New: error = %v, want no T0KEN in it", err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	if got := (publish.Config{Timeout: time.Minute, Concurrency: 3}).Limits(); got != (handler.Limits{Concurrency: 3, Timeout: time.Minute}) {
		t.Errorf("limits = %+v, want 3 for a minute", got)
	}
}
