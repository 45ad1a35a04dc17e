package broker

import (
	"context"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// maxQuoted is how much of what a broker said is repeated, in bytes.
const maxQuoted = 300

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
	return handler.Retry(reason, fmt.Errorf("%s: %w", what, err))
}

// Unanswered says that an attempt ended before the broker had acknowledged the message.
// It may have it all the same: the next attempt sends it again under the same id.
func Unanswered(ctx context.Context, name string) error {
	return ConnectionFailed("the attempt ended before "+name+" had acknowledged the message", ctx.Err())
}

// Refused says that a broker does not take our credentials, or that they are not
// enough. The step is tried again: whoever runs the broker can put it right.
func Refused(format string, values ...any) error {
	return handler.Retry(event.ReasonAuth, fmt.Errorf(format, values...))
}

// Missing says that there is nothing yet that messages could be sent to, and what to create.
func Missing(format string, values ...any) error {
	return handler.Retry(event.ReasonOther, fmt.Errorf(format, values...))
}

// TooLarge says that a broker never takes so large a message.
func TooLarge(message Message, format string, values ...any) error {
	return handler.Fail(event.ReasonTooLarge,
		fmt.Errorf("the message has %d bytes, and "+format, append([]any{len(message.Body)}, values...)...))
}

// Failed says that a broker answered, and did not keep the message.
func Failed(format string, values ...any) error {
	return handler.Retry(event.ReasonServerError, fmt.Errorf(format, values...))
}

// Quote returns a broker's text for an error: one line of bounded length.
func Quote(text string) string { return sanitize.Line(text, maxQuoted) }
