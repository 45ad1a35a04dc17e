package kafka

import (
	"context"
	"errors"
	"io"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/twmb/franz-go/pkg/kerr"
)

// connectFailure classifies a failed connection.
func connectFailure(ctx context.Context, err error) error {
	if isAny(err, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState) {
		return broker.Refused("the Kafka broker refused the login (%w): check user, password and the parameter sasl", err)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		return broker.ConnectionFailed("the Kafka broker closed the connection, as it does if it expects TLS or another login", err)
	}
	return broker.ConnectionFailed("no Kafka broker can be reached", err)
}

// failure classifies the error of a message or of a metadata request.
func (t target) failure(ctx context.Context, message broker.Message, err error) error {
	answer, answered := errors.AsType[*kerr.Error](err)
	switch {
	case ctx.Err() != nil:
		return broker.Unacknowledged(ctx, "Kafka")
	case isAny(err, kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return broker.TooLarge(message, "Kafka accepts no message of this size (max.message.bytes of the topic, max_message_bytes here: %d)", t.maxBytes)
	case isAny(err, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID):
		return broker.Missing("Kafka has no topic %s; create it, such as \"kafka-topics.sh --create --topic %s\"", t.topic, t.topic)
	case isAny(err, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed):
		return broker.Refused("Kafka does not let this user write to the topic %s (%w)", t.topic, err)
	case isAny(err, kerr.SaslAuthenticationFailed):
		return connectFailure(ctx, err)
	case isAny(err, kerr.ThrottlingQuotaExceeded):
		return broker.Throttled("Kafka asks to slow down: %w", err)
	case answered:
		return broker.Failed("Kafka did not store the message: %s", broker.Quote(answer.Error()))
	default:
		return broker.ConnectionFailed("the connection to Kafka ended before the message was acknowledged", err)
	}
}

func isAny(err error, kinds ...*kerr.Error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
