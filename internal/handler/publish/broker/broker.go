// Package broker is the contract between the publish handler and its brokers, and what brokers share: URLs, the one
// connection, the classification of errors.
package broker

import (
	"context"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// ContentType is the media type of every message: a CloudEvent in structured mode, as JSON.
const ContentType = "application/cloudevents+json"

// Message is one event for a broker.
type Message struct {
	ID   string // of the event: the same for every attempt and replay, so that consumers recognise repeats
	Job  string // messages of one job keep their order, if the broker supports that
	Body []byte // the CloudEvent; must not be changed
}

// Broker stores messages. It is called concurrently. It connects for the first message, and again after a connection
// broke.
//
// Its errors are classified (package handler). Only a message that is too large fails: brokers recover, topics can be
// created and passwords corrected. No error contains a password.
type Broker interface {
	// Publish returns nil only after the broker has acknowledged that it stored the message.
	Publish(ctx context.Context, message Message) error
	// Check connects and returns an error if the topic does not exist. It sends no message.
	Check(ctx context.Context) error
	// Close closes all connections. It must not be called during Publish.
	Close() error
}

// maxQuotedBytes bounds the part of a broker's text that is quoted.
const maxQuotedBytes = 300

// ConnectionFailed reports that there is no connection to the broker, or that it ended. The reason depends on err; what
// describes the failure and precedes it in the text.
func ConnectionFailed(what string, err error) error {
	reason := event.ReasonServerError
	switch network := httpclient.Classify(err); {
	case network.Class == httpclient.ClassTimeout:
		reason = event.ReasonTimeout
	case network.IsUnreachable():
		reason = event.ReasonUnreachable
	}
	return handler.Outage(reason, fmt.Errorf("%s: %w", what, err))
}

// Unacknowledged reports that ctx ended before the broker acknowledged the message. The broker may have stored it: the
// next attempt sends it again with the same id.
func Unacknowledged(ctx context.Context, name string) error {
	return ConnectionFailed("the attempt ended before "+name+" acknowledged the message", ctx.Err())
}

// Refused reports that the broker rejects the credentials, or that they lack a permission.
func Refused(format string, values ...any) error {
	return handler.Outage(event.ReasonAuth, fmt.Errorf(format, values...))
}

// Missing reports that the topic, queue or stream does not exist, and how to create it.
func Missing(format string, values ...any) error {
	return handler.Outage(event.ReasonOther, fmt.Errorf(format, values...))
}

// TooLarge reports that the broker never accepts a message of this size.
func TooLarge(message Message, format string, values ...any) error {
	return handler.Fail(event.ReasonTooLarge,
		fmt.Errorf("the message has %d bytes, and "+format, append([]any{len(message.Body)}, values...)...))
}

// Failed reports that the broker responded and did not store the message.
func Failed(format string, values ...any) error {
	return handler.Outage(event.ReasonServerError, fmt.Errorf(format, values...))
}

// Full reports that the queue or stream has no space for messages. A message that fits now and then does not change that.
func Full(format string, values ...any) error {
	return handler.OutageOfStep(event.ReasonServerError, fmt.Errorf(format, values...))
}

// Throttled reports that the broker asks to send fewer messages.
func Throttled(format string, values ...any) error {
	return handler.OutageOfStep(event.ReasonRateLimited, fmt.Errorf(format, values...))
}

// Quote returns a broker's text for an error: one line of bounded length.
func Quote(text string) string { return sanitize.Line(text, maxQuotedBytes) }
