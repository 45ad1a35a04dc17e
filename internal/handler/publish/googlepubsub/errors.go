package googlepubsub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"golang.org/x/oauth2"
)

// failure gives a message that was not taken, or a question that was not answered, its meaning.
func (t target) failure(ctx context.Context, message broker.Message, err error) error {
	token, noToken := errors.AsType[*oauth2.RetrieveError](err)
	answer, answered := errors.AsType[*answerError](err)
	switch {
	case ctx.Err() != nil:
		return broker.Unanswered(ctx, "Google Pub/Sub")
	case noToken && token.Response != nil && token.Response.StatusCode < http.StatusInternalServerError:
		// The text can quote the request, with a signed assertion in it.
		return broker.Refused("Google gives no token for these credentials (%s)", tokenCode(token))
	case noToken:
		return broker.Failed("Google's token service failed")
	case !answered:
		return broker.ConnectionFailed("Google Pub/Sub cannot be reached", plain(err))
	}
	switch answer.code {
	case http.StatusNotFound:
		return broker.Missing("Google Pub/Sub has no topic %s; create it, such as \"gcloud pubsub topics create\"", t.topic)
	case http.StatusUnauthorized, http.StatusForbidden:
		return broker.Refused("Google Pub/Sub does not let these credentials publish to %s; give them the role roles/pubsub.publisher", t.topic)
	case http.StatusRequestEntityTooLarge:
		return broker.TooLarge(message, "Google Pub/Sub does not take so large ones")
	case http.StatusTooManyRequests:
		return handler.Retry(event.ReasonRateLimited, errors.New("the service of Google Pub/Sub asks to slow down"))
	default:
		return broker.Failed("Google Pub/Sub did not take the message: status %d %w", answer.code, answer)
	}
}

// tokenCode is the code with which a token is refused, such as invalid_grant.
func tokenCode(refusal *oauth2.RetrieveError) string {
	said := struct{ Error string }{refusal.ErrorCode}
	if said.Error == "" {
		_ = json.Unmarshal(refusal.Body, &said) // what is no JSON says nothing
	}
	return broker.Quote(said.Error)
}

// plain is the cause without the address that was asked: credentials have addresses of their own.
func plain(err error) error {
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return sent.Err
	}
	return err
}
