package forward

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
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
		return handler.Outcome{}, handler.Fail(event.ReasonOther, redirected(text, response))
	default:
		after := httpclient.RetryAfter(response.Header, time.Now())
		return handler.Outcome{}, handler.StatusFailure(status, after, errors.New(text))
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
