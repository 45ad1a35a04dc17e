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
		h.worked.Store(true)
		return handler.Outcome{Detail: text}, nil
	case status < 200: // 101, which no request asks for
		return handler.Outcome{}, handler.Retry(event.ReasonOther, errors.New(text))
	case status == http.StatusGone:
		return handler.Outcome{}, handler.Disable(event.ReasonOther, errors.New(text))
	case status < 400:
		return handler.Outcome{}, handler.Outage(event.ReasonOther, redirected(text, response))
	case isMisconfigured(status):
		return handler.Outcome{}, h.misconfigured(status, text)
	default:
		after := httpclient.RetryAfter(response.Header, time.Now())
		return handler.Outcome{}, handler.StatusFailure(status, after, errors.New(text))
	}
}

// isMisconfigured reports whether a status is about the address or the credentials and not about the event: a workflow was
// switched off, a path changed, a token or a subscription expired.
func isMisconfigured(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusMisdirectedRequest:
		return true
	}
	return false
}

// misconfigured defers the step until a person has mended the target or the setting. If other events succeed meanwhile, the
// executor counts the attempts.
func (h *Handler) misconfigured(status int, text string) error {
	reason := event.ReasonOther
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		reason = event.ReasonAuth
	}
	if !h.worked.Load() {
		text += "; it has accepted no event since the receiver started, so check its address and credentials"
	}
	return handler.Outage(reason, errors.New(text))
}

// redirected returns an error with the host of a redirect. Redirects are not followed: the message is meant for the
// configured URL, and a POST that became a GET would count as delivered. Like a wrong address, it concerns every event.
func redirected(text string, response *http.Response) error {
	to, err := url.Parse(response.Header.Get("Location"))
	if err == nil && to.Host != "" {
		text += fmt.Sprintf(" (a redirect to the host %q, which is not followed; set RECEIVER_FORWARD_URLS to the final address)", to.Host)
	} else {
		text += " (a redirect, which is not followed; set RECEIVER_FORWARD_URLS to the final address)"
	}
	return errors.New(text)
}
