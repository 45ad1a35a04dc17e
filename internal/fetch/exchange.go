package fetch

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// follow asks for target and follows redirects, each of which passes the same rules,
// to an answer that is none. Nothing goes along from one host to the next: no
// cookie, no credentials, no Referer. The caller closes the answer's body. ctx
// must live until then.
func (c *Client) follow(ctx context.Context, target *url.URL, condition condition) (*http.Response, error) {
	for redirects := 0; ; redirects++ {
		response, err := c.ask(ctx, target, condition)
		if err != nil {
			return nil, failure(ctx, target.Hostname(), err)
		}
		if !isRedirect(response.StatusCode) {
			return response, nil
		}
		_ = response.Body.Close() // unread: nobody bounds what a redirect says beside its Location
		if redirects == maxRedirects {
			return nil, failf(KindRedirects, "the host %s redirects once more after %d redirects", target.Hostname(), maxRedirects)
		}
		if target, err = c.rules.redirect(target, response.Header.Get("Location")); err != nil {
			return nil, err
		}
	}
}

func (c *Client) ask(ctx context.Context, target *url.URL, condition condition) (*http.Response, error) {
	request := &http.Request{Method: http.MethodGet, URL: target, Header: http.Header{
		"User-Agent":      {c.userAgent},
		"Accept-Encoding": {"identity"},
	}}
	condition.add(request.Header)
	return c.transport.RoundTrip(request.WithContext(ctx))
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect gives the URL that location stands for in an answer to from.
func (r rules) redirect(from *url.URL, location string) (*url.URL, error) {
	location = strings.TrimSpace(location)
	if location == "" || len(location) > maxURLBytes {
		return nil, failf(KindRedirects, "the host %s redirects to nowhere", from.Hostname())
	}
	target, err := from.Parse(location)
	if err != nil {
		return nil, failf(KindRedirects, "the host %s redirects to a URL that cannot be read", from.Hostname())
	}
	admitted, err := r.admit(target)
	if err != nil {
		return nil, redirectFailure(from, err)
	}
	return admitted, nil
}

// redirectFailure tells a person that it was a redirect that broke the rules.
func redirectFailure(from *url.URL, err error) error {
	kind := KindRedirects
	if failed, ok := errors.AsType[*Error](err); ok && failed.Kind == KindHostNotAllowed {
		kind = KindHostNotAllowed
	}
	return failf(kind, "the host %s redirects, but %s", from.Hostname(), err)
}
