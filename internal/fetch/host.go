package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const maxHostBytes = 253 // of a name, RFC 1035

var (
	errNoHost     = errors.New("is not a host name")
	errHostNumber = errors.New("is a number, not a name")
)

// host is a DNS name in ASCII and lower case without the final dot, or an address.
type host struct {
	name string
	addr netip.Addr // valid for an address
}

// parseHost parses a host without port and brackets. An international name becomes its xn-- form. It returns errHostNumber for
// notations that some resolvers accept as an IPv4 address: 2130706433, 0x7f.1, 0177.0.0.1.
func parseHost(text string) (host, error) {
	text = strings.TrimSuffix(text, ".")
	if addr, err := netip.ParseAddr(text); err == nil {
		return parseAddress(addr)
	}
	text, err := toASCII(text)
	if err != nil || !isHostName(text) {
		return host{}, errNoHost
	}
	if endsInNumber(text) {
		return host{}, errHostNumber
	}
	return host{name: strings.ToLower(text)}, nil
}

// HostName returns a host as DNS and the rules know it: in ASCII and lower case, without a final dot.
func HostName(text string) (string, error) {
	parsed, err := parseHost(text)
	return parsed.name, err
}

// toASCII returns a host name with international labels in their xn-- form. Other names stay as they are. It refuses letters that
// stand for dots or for digits of an address.
func toASCII(name string) (string, error) {
	if !strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
		return name, nil
	}
	ascii, err := idna.Lookup.ToASCII(name)
	// All bytes that are not UTF-8 are the same letter to idna.
	if err != nil || strings.ContainsRune(name, utf8.RuneError) || strings.Count(ascii, ".") != strings.Count(name, ".") || endsInNumber(ascii) {
		return "", errNoHost
	}
	return ascii, nil
}

// parseAddress refuses zones, which name a local interface.
func parseAddress(addr netip.Addr) (host, error) {
	if addr.Zone() != "" {
		return host{}, errNoHost
	}
	addr = addr.Unmap()
	return host{name: addr.String(), addr: addr}, nil
}

// isHostName reports whether text is a sequence of labels. It accepts the underscore, which many real names have.
func isHostName(text string) bool {
	if len(text) > maxHostBytes {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, isNotInLabel) {
			return false
		}
	}
	return true
}

func isNotInLabel(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || r > '9') && r != '-' && r != '_'
}

// endsInNumber reports whether the last label is decimal, octal or hexadecimal. No public domain ends so, and the URL
// standard treats such a name as an IPv4 address.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	digits, hexadecimal := strings.CutPrefix(strings.ToLower(last), "0x")
	if hexadecimal {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(digits, "0123456789") == ""
}

// hosts is the list of allowed hosts.
type hosts struct {
	any     bool                // all names, but no address
	names   map[string]struct{} // names and addresses, as host.name has them
	domains []string            // ".example.com" for all names below it
}

// parseHosts parses the items of a list: a host name, *.domain, * or an address.
func parseHosts(items []string) (hosts, error) {
	list := hosts{names: make(map[string]struct{}, len(items))}
	for _, item := range items {
		if err := list.add(item); err != nil {
			return hosts{}, fmt.Errorf("the allowed host %.100q %w; use example.com, *.example.com, * or an IP address, "+
				"without scheme, port and path", item, err)
		}
	}
	return list, nil
}

func (h *hosts) add(item string) error {
	if item == "*" {
		h.any = true
		return nil
	}
	rest, below := strings.CutPrefix(item, "*.")
	parsed, err := parseHost(strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]"))
	switch {
	case err != nil:
		return err
	case below && parsed.addr.IsValid():
		return errHostNumber
	case below:
		h.domains = append(h.domains, "."+parsed.name)
	default:
		h.names[parsed.name] = struct{}{}
	}
	return nil
}

// contains reports whether a host is allowed. An address must be listed itself.
func (h hosts) contains(wanted host) bool {
	if _, listed := h.names[wanted.name]; listed {
		return true
	}
	if wanted.addr.IsValid() {
		return false
	}
	for _, domain := range h.domains {
		if strings.HasSuffix(wanted.name, domain) {
			return true
		}
	}
	return h.any
}
