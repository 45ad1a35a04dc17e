package fetch

import (
	"errors"
	"net"
	"net/url"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// rules say which URLs are fetched at all, before any address is known.
type rules struct {
	hosts     hosts
	plainHTTP bool
}

// parse reads a URL and applies the rules to it.
func (r rules) parse(text string) (*url.URL, error) {
	if len(text) > maxURLBytes {
		return nil, failf(KindInvalidURL, "the URL is longer than %d bytes", maxURLBytes)
	}
	target, err := url.Parse(text)
	if err != nil {
		return nil, failf(KindInvalidURL, "the URL cannot be read") // err quotes it with its query
	}
	return r.admit(target)
}

// admit applies the rules. The URL it gives names the host exactly as it was
// checked, so that nothing is left for the dialer to interpret; path and query are
// as they came, because a signature may be over them.
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
		return nil, failf(KindHostNotAllowed, "%s is plain http, which is not allowed", shown(&admitted))
	}
	return &admitted, nil
}

func checkForm(target *url.URL) error {
	switch {
	case target.Scheme != "https" && target.Scheme != "http":
		return failf(KindInvalidURL, "the URL does not begin with https://")
	case target.Host == "":
		return failf(KindInvalidURL, "the URL names no host")
	case target.User != nil:
		return failf(KindInvalidURL, "the URL has credentials in it")
	case !isPort(target.Port()):
		return failf(KindInvalidURL, "the URL has the port %s, which does not exist", target.Port())
	}
	return nil
}

// isPort says whether text is "" or a port that can be dialled; all of them may be.
func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && port > 0
}

func (r rules) admitHost(text string) (host, error) {
	named, err := parseHost(text)
	switch {
	case errors.Is(err, errHostNumber):
		return host{}, failf(KindHostNotAllowed, "the host %s is an IP address in an unusual spelling, which is never allowed", text)
	case err != nil:
		return host{}, failf(KindInvalidURL, "the host %.100q of the URL is no host name", text)
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

// shown is what of a URL is fit for the eyes of people: neither credentials, nor
// query, which may be a signature, nor more than a line of it.
func shown(target *url.URL) string {
	const limit = 200
	return sanitize.Clip(target.Scheme+"://"+target.Host+target.EscapedPath(), limit)
}
