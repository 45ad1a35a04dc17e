package fetch

import (
	"errors"
	"net"
	"net/url"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// rules decide on URLs before DNS. The guard decides on addresses after it.
type rules struct {
	hosts     hosts
	plainHTTP bool
}

// parse parses a URL and applies the rules.
func (r rules) parse(text string) (*url.URL, error) {
	if len(text) > maxURLBytes {
		return nil, failf(KindInvalidURL, "the URL is longer than %d bytes", maxURLBytes)
	}
	target, err := url.Parse(text)
	if err != nil {
		return nil, failf(KindInvalidURL, "the URL is malformed") // err quotes it with its query
	}
	return r.admit(target)
}

// admit applies the rules. The URL that it returns names the host exactly as it was checked, so that the dialer
// interprets nothing. Path and query are unchanged, because a signature may cover them.
func (r rules) admit(target *url.URL) (*url.URL, error) {
	if err := checkForm(target); err != nil {
		return nil, err
	}
	named, err := r.admitHost(target.Hostname())
	if err != nil {
		return nil, err
	}
	admitted := *target
	admitted.Host = authority(named, target.Port())
	admitted.Fragment, admitted.RawFragment = "", ""
	if admitted.Scheme != "https" && !r.plainHTTP {
		return nil, failf(KindHostNotAllowed, "%s is plain http, which is not allowed", redacted(&admitted))
	}
	return &admitted, nil
}

func checkForm(target *url.URL) error {
	switch {
	case target.Scheme != "https" && target.Scheme != "http":
		return failf(KindInvalidURL, "the URL does not begin with https://")
	case target.Host == "":
		return failf(KindInvalidURL, "the URL has no host")
	case target.User != nil:
		return failf(KindInvalidURL, "the URL contains credentials")
	case !isPort(target.Port()):
		return failf(KindInvalidURL, "the URL has the invalid port %s", target.Port())
	}
	return nil
}

// isPort reports whether text is "" or a port number. Any port may be dialled.
func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && port > 0
}

func (r rules) admitHost(text string) (host, error) {
	named, err := parseHost(text)
	switch {
	case errors.Is(err, errHostNumber):
		return host{}, failf(KindHostNotAllowed, "the host %s is an IP address in an unusual notation, which is never allowed", text)
	case err != nil:
		return host{}, failf(KindInvalidURL, "the host %.100q of the URL is not a host name", text)
	case !r.hosts.contains(named):
		return host{}, failf(KindHostNotAllowed, "the host %s is not on the list of allowed hosts", named.name)
	}
	return named, nil
}

func authority(named host, port string) string {
	switch {
	case port != "":
		return net.JoinHostPort(named.name, port)
	case named.addr.Is6():
		return "[" + named.name + "]"
	default:
		return named.name
	}
}

// redacted returns a URL without credentials and query, which may be a signature, in at most one line.
func redacted(target *url.URL) string {
	const limit = 200
	return sanitize.Clip(target.Scheme+"://"+target.Host+target.EscapedPath(), limit)
}
