package nats

import (
	"context"
	"errors"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// connectFailure classifies a failed connection. dialled is the error of the last dial.
func connectFailure(ctx context.Context, dialled, err error) error {
	if isRefusal(err) {
		return broker.Refused("the NATS server refused the login (%w): check user and password, token or credentials file", err)
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case dialled != nil:
		err = dialled
	}
	return broker.ConnectionFailed("no NATS server can be reached", err)
}

func isRefusal(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}

// failure classifies the error of a message.
func (c *connection) failure(ctx context.Context, message broker.Message, err error) error {
	response, responded := errors.AsType[*jetstream.APIError](err)
	switch {
	case c.refused.Load():
		return broker.Refused("the NATS server does not let this user publish to %s", c.subject)
	case errors.Is(err, nats.ErrMaxPayload):
		return broker.TooLarge(message, "the NATS server accepts at most %d, headers included (max_payload)", c.MaxPayload())
	case responded:
		return c.responseFailure(message, response)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return c.noStream()
	case errors.Is(err, jetstream.ErrInvalidJSAck):
		return broker.Missing("a subscriber that is not a JetStream stream responded on the NATS subject %s; create a stream for it", c.subject)
	case ctx.Err() != nil:
		return broker.Unacknowledged(ctx, "NATS")
	default:
		return broker.ConnectionFailed("the connection to the NATS server ended before the message was acknowledged", err)
	}
}

// codeStoreFailed is JSStreamStoreFailedF of the NATS server: the stream has reached a limit, or its disk has.
const codeStoreFailed jetstream.ErrorCode = 10077

// responseFailure classifies an error response of the stream.
func (c *connection) responseFailure(message broker.Message, response *jetstream.APIError) error {
	switch text := broker.Quote(response.Description); {
	case response.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return broker.TooLarge(message, "the NATS stream accepts no message of this size (max_msg_size)")
	case response.Code == http.StatusTooManyRequests:
		return broker.Throttled("the NATS stream asks to slow down: %s", text)
	case response.ErrorCode == codeStoreFailed:
		return broker.Full("the NATS stream did not store the message: %s (code %d)", text, response.ErrorCode)
	default:
		return broker.Failed("the NATS stream did not store the message: %s (code %d)", text, response.ErrorCode)
	}
}

// noStream reports that no stream stores the subject. NATS itself would drop the message.
func (c *connection) noStream() error {
	return broker.Missing("no JetStream stream stores the NATS subject %s; create one, such as \"nats stream add --subjects %s\"", c.subject, c.subject)
}

// lookupFailure classifies the error of the lookup of the stream.
func (c *connection) lookupFailure(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return c.noStream()
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return broker.Missing("the NATS server has no JetStream; enable it, so that messages are stored")
	case err != nil && ctx.Err() != nil:
		return broker.ConnectionFailed("NATS JetStream did not respond", ctx.Err())
	default:
		return nil
	}
}
