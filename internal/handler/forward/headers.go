package forward

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// headers returns the headers of every request. The text of the error follows the name of the variable.
func (c Config) headers() (http.Header, error) {
	made := http.Header{"User-Agent": {httpclient.UserAgent()}}
	for i, item := range c.Headers {
		name, value, found := strings.Cut(item.Reveal(), ":")
		name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !found || !isHeaderName(name) || !isHeaderValue(value) || value == "" {
			return nil, fmt.Errorf("has an item, number %d, that is not written as Name: value", i+1)
		}
		if err := checkHeader(name); err != nil {
			return nil, fmt.Errorf("has an item, number %d, that %w", i+1, err)
		}
		if name == "User-Agent" {
			made.Del(name)
		}
		made.Add(name, value)
	}
	if !c.BearerToken.IsZero() {
		if made.Get("Authorization") != "" {
			return nil, errors.New("has Authorization, which RECEIVER_FORWARD_BEARER_TOKEN sets too; keep one of them")
		}
		made.Set("Authorization", "Bearer "+c.BearerToken.Reveal())
	}
	return made, nil
}

// checkHeader returns an error for headers of the connection (RFC 9110, 7.6.1), of the body and of the receiver.
func checkHeader(name string) error {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Host", "Expect", "Accept-Encoding":
		return fmt.Errorf("sets %s, which belongs to the connection", name)
	}
	for _, prefix := range []string{"Content-", "Webhook-", "Receiver-"} {
		if strings.HasPrefix(name, prefix) {
			return fmt.Errorf("sets %s, which the receiver sets itself", name)
		}
	}
	return nil
}

// isHeaderName reports whether a text is a token (RFC 9110, 5.6.2).
func isHeaderName(name string) bool {
	isToken := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !isToken(r) })
}

// isHeaderValue reports whether a text is ASCII without control characters.
func isHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}
