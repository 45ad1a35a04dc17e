package fetch

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// rules decide on URLs before DNS. The guard decides on addresses after it.
type rules struct {
	hosts     hosts
	plainHTTP bool
	proxied   *guard // for what can be decided without DNS, when a proxy connects; nil without a proxy
}

// parse parses a URL and applies the rules. It accepts white space around the URL and characters that should be encoded.
func (r rules) parse(text string) (*url.URL, error) {
	text = encodeOnce(strings.TrimSpace(text))
	if len(text) > maxURLBytes {
		return nil, failf(KindInvalidURL, "the URL is longer than %d bytes", maxURLBytes)
	}
	target, err := url.Parse(text)
	if err != nil {
		return nil, failf(KindInvalidURL, "the URL is malformed") // err quotes it with its query
	}
	return r.admit(target)
}

// encodeOnce encodes what should be encoded in the path and the query of a URL or of a relative reference: blanks, characters
// beyond ASCII, and a percent sign that encodes nothing. It changes nothing that is encoded, because a signature may cover it,
// and no control characters, which are refused.
func encodeOnce(text string) string {
	path := 0
	if before, _, ok := strings.Cut(text, "//"); ok && (before == "" || strings.HasSuffix(before, ":")) {
		host := len(before) + len("//")
		end := strings.IndexAny(text[host:], "/?#")
		if end < 0 {
			return text
		}
		path = host + end
	}
	var encoded strings.Builder
	encoded.WriteString(text[:path])
	for i := path; i < len(text); i++ {
		switch c := text[i]; {
		case c == '%' && !(i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2])), c == ' ', c >= 0x80:
			fmt.Fprintf(&encoded, "%%%02X", c)
		default:
			encoded.WriteByte(c)
		}
	}
	return encoded.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
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
		return nil, notAllowed(named.name, "%s is plain http, which is not allowed", redacted(&admitted))
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
		return host{}, notAllowed(text, "the host %s is an IP address in an unusual notation, which is never allowed", text)
	case err != nil:
		return host{}, failf(KindInvalidURL, "the host %.100q of the URL is not a host name", text)
	case !r.hosts.contains(named):
		return host{}, notAllowed(named.name, "the host %s is not on the list of allowed hosts", named.name)
	case r.proxied != nil && r.isLocal(named):
		return host{}, failf(KindBlockedAddress, "the host %s is not public", named.name)
	}
	return named, nil
}

// notAllowed is the error for a host that the rules do not allow.
func notAllowed(name, format string, values ...any) *Error {
	failed := failf(KindHostNotAllowed, format, values...)
	failed.Host = name
	return failed
}

// isLocal reports whether a host is surely not public: an address that the guard refuses, or localhost. Only the proxy learns
// the address of any other name.
func (r rules) isLocal(named host) bool {
	if named.addr.IsValid() {
		return !r.proxied.permits(named.addr)
	}
	_, listed := r.hosts.names[named.name]
	return !listed && (named.name == "localhost" || strings.HasSuffix(named.name, ".localhost"))
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
