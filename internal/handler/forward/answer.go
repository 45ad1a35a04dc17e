package forward

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// verdict says what an answer means.
func (h *Handler) verdict(response *http.Response, said []byte) (handler.Outcome, error) {
	text := fmt.Sprintf("%s answered %d", h.target.host, response.StatusCode)
	if name := http.StatusText(response.StatusCode); name != "" {
		text += " " + name
	}
	if shown := h.veil.shown(said, h.redact); shown != "" {
		text += ": " + shown
	}
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
		return handler.Outcome{Detail: text}, nil
	case status == http.StatusGone:
		return handler.Outcome{}, handler.Disable(event.ReasonOther, errors.New(text))
	case status >= 300 && status < 400:
		return handler.Outcome{}, handler.Permanent(event.ReasonOther, redirected(text, response))
	default:
		after := fetch.RetryAfter(response.Header.Get("Retry-After"), time.Now())
		return handler.Outcome{}, statusFailure(status, after, errors.New(text))
	}
}

// redirected says where to. A redirect is not followed: what is sent is meant for the address that
// was configured, and a call that became a GET on its way would count as delivered.
func redirected(text string, response *http.Response) error {
	to, err := url.Parse(response.Header.Get("Location"))
	if err == nil && to.Host != "" {
		text += fmt.Sprintf(" (a redirect to the host %q, which is not followed; RECEIVER_FORWARD_URLS must hold the last address)", to.Host)
	} else {
		text += " (a redirect, which is not followed; RECEIVER_FORWARD_URLS must hold the last address)"
	}
	return errors.New(text)
}

// statusFailure gives the status of an error its meaning: what may pass is tried again, not
// before the other side asks for it.
func statusFailure(status int, after time.Duration, err error) error {
	switch {
	case status == http.StatusRequestTimeout:
		return handler.RetryAfter(after, event.ReasonTimeout, err)
	case status == http.StatusTooEarly || status == http.StatusTooManyRequests:
		return handler.RetryAfter(after, event.ReasonRateLimited, err)
	case status >= http.StatusInternalServerError:
		return handler.RetryAfter(after, event.ReasonServerError, err)
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired:
		return handler.Permanent(event.ReasonAuth, err)
	case status == http.StatusRequestEntityTooLarge:
		return handler.Permanent(event.ReasonTooLarge, err)
	default:
		return handler.Permanent(event.ReasonOther, err)
	}
}
