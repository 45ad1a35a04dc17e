package googlepubsub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"golang.org/x/oauth2"
)

// failure classifies the error of a call or of a token.
func (t target) failure(ctx context.Context, message broker.Message, err error) error {
	token, noToken := errors.AsType[*oauth2.RetrieveError](err)
	response, responded := errors.AsType[*responseError](err)
	switch {
	case ctx.Err() != nil:
		return broker.Unacknowledged(ctx, "Google Pub/Sub")
	case noToken && token.Response != nil && token.Response.StatusCode < http.StatusInternalServerError:
		// The text can quote the request, with a signed assertion in it.
		return broker.Refused("Google refused a token for these credentials (%s)", tokenCode(token))
	case noToken:
		return broker.Failed("the token service of Google failed")
	case !responded:
		return broker.ConnectionFailed("Google Pub/Sub cannot be reached", plain(err))
	}
	switch response.code {
	case http.StatusNotFound:
		return broker.Missing("Google Pub/Sub has no topic %s; create it, such as \"gcloud pubsub topics create\"", t.topic)
	case http.StatusUnauthorized, http.StatusForbidden:
		return broker.Refused("Google Pub/Sub denies these credentials to publish to %s; grant them the role roles/pubsub.publisher", t.topic)
	case http.StatusRequestEntityTooLarge:
		return broker.TooLarge(message, "Google Pub/Sub accepts no message of this size")
	case http.StatusTooManyRequests:
		return broker.Throttled("the service of Google Pub/Sub asks to slow down")
	default:
		return broker.Failed("Google Pub/Sub did not store the message: status %d %w", response.code, response)
	}
}

// tokenCode returns the code of a refused token, such as invalid_grant.
func tokenCode(refusal *oauth2.RetrieveError) string {
	body := struct{ Error string }{refusal.ErrorCode}
	if body.Error == "" {
		_ = json.Unmarshal(refusal.Body, &body) // a body without JSON has no code
	}
	return broker.Quote(body.Error)
}

// plain returns the cause without the URL of the request: credentials contain URLs.
func plain(err error) error {
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return sent.Err
	}
	return err
}
