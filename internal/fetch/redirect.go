package fetch

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// follow requests target and follows redirects, each under the same rules. It sends no cookie, credentials or Referer
// from one host to the next. The caller closes the response's body; ctx must live until then.
func (c *Client) follow(ctx context.Context, target *url.URL, condition condition) (*http.Response, error) {
	for redirects := 0; ; redirects++ {
		response, err := c.request(ctx, target, condition)
		if err != nil {
			return nil, c.failure(ctx, target, err)
		}
		if !isRedirect(response.StatusCode) {
			return response, nil
		}
		_ = response.Body.Close() // unread: its length is not bounded
		if redirects == maxRedirects {
			return nil, failf(KindRedirects, "the host %s redirects again after %d redirects", target.Hostname(), maxRedirects)
		}
		if target, err = c.rules.redirect(target, response.Header.Get("Location")); err != nil {
			return nil, err
		}
	}
}

func (c *Client) request(ctx context.Context, target *url.URL, condition condition) (*http.Response, error) {
	request := &http.Request{Method: http.MethodGet, URL: target, Header: http.Header{
		"User-Agent":      {c.userAgent},
		"Accept":          {"image/*,*/*;q=0.5"}, // some hosts refuse requests without it
		"Accept-Encoding": {"identity"},
	}}
	condition.add(request.Header)
	response, err := c.silence.send(ctx, c.protocols.of(target.Host), request)
	c.protocols.failed(target.Host, err)
	return response, err
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect returns the URL of a Location header in the response to from.
func (r rules) redirect(from *url.URL, location string) (*url.URL, error) {
	location = strings.TrimSpace(location)
	if location == "" || len(location) > maxURLBytes {
		return nil, failf(KindRedirects, "the host %s redirects without a usable Location", from.Hostname())
	}
	target, err := from.Parse(encodeOnce(location))
	if err != nil {
		return nil, failf(KindRedirects, "the host %s redirects to a malformed URL", from.Hostname())
	}
	admitted, err := r.admit(target)
	if err != nil {
		return nil, redirectFailure(from, err)
	}
	return admitted, nil
}

// redirectFailure returns the error for a redirect that breaks the rules.
func redirectFailure(from *url.URL, err error) error {
	const format = "the host %s redirects, but %s"
	if failed, ok := errors.AsType[*Error](err); ok && failed.Kind == KindHostNotAllowed {
		return notAllowed(failed.Host, format, from.Hostname(), err)
	}
	return failf(KindRedirects, format, from.Hostname(), err)
}
