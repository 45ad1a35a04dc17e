package forward

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// target is where events are sent.
type target struct {
	step    string   // name of its step
	host    string   // with the port, if there is one: the only part of the URL that is shown
	address *url.URL // path and query may be secret
}

const (
	maxAddressBytes = 8 << 10
	maxSlugBytes    = 40 // of a host in the name of a step
)

// named matches a URL with a name in front.
var named = regexp.MustCompile(`^([a-z0-9]+(?:-[a-z0-9]+)*)=(https?://.*)$`)

const notURL = "is not a URL such as https://example.com/hook, nor one with a name of small letters, " +
	"digits and hyphens in front of it, as in crm=https://example.com/hook"

// parseTarget parses a URL with or without a name in front. The text of the error follows "an address that".
func parseTarget(text string, plainHTTP bool) (target, error) {
	name := ""
	if parts := named.FindStringSubmatch(text); parts != nil {
		name, text = parts[1], parts[2]
	}
	if len(name) > maxSlugBytes {
		return target{}, errors.New("has a name of more than 40 characters in front of it")
	}
	address, err := url.Parse(text)
	if err != nil || len(text) > maxAddressBytes { // the error would show the address
		return target{}, errors.New(notURL)
	}
	if err := checkAddress(address, plainHTTP); err != nil {
		return target{}, err
	}
	made := target{step: Name + "-" + name, host: strings.ToLower(address.Host), address: address}
	if name == "" {
		made.step = Name + "-" + slug(made.host) + "-" + fingerprint(address)
	}
	return made, nil
}

// checkAddress returns an error for a URL that is not accepted.
func checkAddress(address *url.URL, plainHTTP bool) error {
	switch {
	case address.Scheme != "https" && address.Scheme != "http" || address.Hostname() == "":
		return errors.New(notURL)
	case address.User != nil:
		return errors.New("holds a user name; RECEIVER_FORWARD_HEADERS and RECEIVER_FORWARD_BEARER_TOKEN carry credentials")
	case address.Fragment != "":
		return errors.New("has a fragment (#), which is never sent")
	case address.Scheme == "http" && !plainHTTP && !isPrivate(address.Hostname()):
		return errors.New("is a plain http address of another network, where others can read the traffic; " +
			"https is needed, or RECEIVER_FORWARD_ALLOW_HTTP=true")
	}
	return nil
}

// isPrivate reports whether a host is this machine or an address of a private network. Other names are not resolved.
func isPrivate(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && (address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast())
}

// slug returns a host as part of a step name, short enough for prefix and fingerprint.
func slug(host string) string {
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80")
	words := strings.FieldsFunc(host, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	joined := strings.Join(words, "-")
	if joined == "" {
		return "target"
	}
	return strings.TrimRight(joined[:min(len(joined), maxSlugBytes)], "-")
}

// fingerprint distinguishes URLs of one host. It ignores the query, which may hold a token that changes.
func fingerprint(address *url.URL) string {
	const digits = 8
	sum := sha256.Sum256([]byte(address.Scheme + "://" + strings.ToLower(address.Host) + address.EscapedPath()))
	return hex.EncodeToString(sum[:])[:digits]
}

// differs returns an error for targets that cannot be distinguished. Its text follows "two addresses that".
func (t target) differs(other target) error {
	switch {
	case t.address.String() == other.address.String():
		return errors.New("are the same")
	case t.step == other.step && t.address.Host == other.address.Host:
		return errors.New("differ in nothing but the query; give them names, as in first=https://example.com/hook?for=a")
	case t.step == other.step:
		return errors.New("have the same name")
	}
	return nil
}

// target returns the target of a step.
func (c Config) target(step string) (target, error) {
	targets, err := c.targets()
	if err != nil {
		return target{}, err
	}
	for _, t := range targets {
		if t.step == step {
			return t, nil
		}
	}
	return target{}, fmt.Errorf("no target has the step %q", step)
}
