package nats

import (
	"context"
	"errors"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// connectFailure gives a failed connection its meaning. dialled is what became of the last dial.
func connectFailure(ctx context.Context, dialled, err error) error {
	if isRefusal(err) {
		return broker.Refused("the NATS server refused the log in (%w); the user and password, token or credentials file are wrong", err)
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

// failure gives a message that was not acknowledged its meaning.
func (c *connection) failure(ctx context.Context, message broker.Message, err error) error {
	answer, answered := errors.AsType[*jetstream.APIError](err)
	switch {
	case c.refused.Load():
		return broker.Refused("the NATS server does not let this user publish to %s", c.subject)
	case errors.Is(err, nats.ErrMaxPayload):
		return broker.TooLarge(message, "the NATS server takes at most %d with the headers (max_payload)", c.MaxPayload())
	case answered:
		return c.answer(message, answer)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return c.noStream()
	case errors.Is(err, jetstream.ErrInvalidJSAck):
		return broker.Missing("something that is no JetStream stream answers on the NATS subject %s; create a stream for it", c.subject)
	case ctx.Err() != nil:
		return broker.Unanswered(ctx, "NATS")
	default:
		return broker.ConnectionFailed("the connection to the NATS server ended before the message was acknowledged", err)
	}
}

// answer is what the stream said instead of an acknowledgement.
func (c *connection) answer(message broker.Message, answer *jetstream.APIError) error {
	switch said := broker.Quote(answer.Description); {
	case answer.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return broker.TooLarge(message, "the NATS stream does not take so large ones (max_msg_size)")
	case answer.Code == http.StatusTooManyRequests:
		return handler.Retry(event.ReasonRateLimited, errors.New("the NATS stream asks to slow down: "+said))
	default:
		return broker.Failed("the NATS stream did not store the message: %s (code %d)", said, answer.ErrorCode)
	}
}

// noStream is said where a message would have been lost: NATS itself takes it for nobody.
func (c *connection) noStream() error {
	return broker.Missing("no JetStream stream stores the NATS subject %s; create one, such as \"nats stream add --subjects %s\"", c.subject, c.subject)
}

// absence gives the answer to the question for a stream its meaning.
func (c *connection) absence(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return c.noStream()
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return broker.Missing("the NATS server has no JetStream; enable it, so that messages are stored")
	case err != nil && ctx.Err() != nil:
		return broker.ConnectionFailed("NATS JetStream did not answer", ctx.Err())
	default:
		return nil
	}
}
