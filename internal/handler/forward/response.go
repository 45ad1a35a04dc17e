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

// outcome returns what a response means. content is the start of its body.
func (h *Handler) outcome(response *http.Response, content []byte) (handler.Outcome, error) {
	text := fmt.Sprintf("%s answered %d", h.target.host, response.StatusCode)
	if name := http.StatusText(response.StatusCode); name != "" {
		text += " " + name
	}
	if readable := h.redactor.text(content); readable != "" {
		text += ": " + readable
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

// redirected returns an error with the host of a redirect. Redirects are not followed: the message is meant for the
// configured URL, and a POST that became a GET would count as delivered.
func redirected(text string, response *http.Response) error {
	to, err := url.Parse(response.Header.Get("Location"))
	if err == nil && to.Host != "" {
		text += fmt.Sprintf(" (a redirect to the host %q, which is not followed; set RECEIVER_FORWARD_URLS to the final address)", to.Host)
	} else {
		text += " (a redirect, which is not followed; set RECEIVER_FORWARD_URLS to the final address)"
	}
	return errors.New(text)
}
