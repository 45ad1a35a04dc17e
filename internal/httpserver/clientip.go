package httpserver

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// setClientIP returns the middleware that sets RequestInfo.Client: the remote IP, or what trusted proxies report.
func setClientIP(proxies configtypes.Prefixes) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			client := remoteIP(r)
			if len(proxies) > 0 && proxies.Contains(client) {
				client = forwardedIP(r.Header, client, proxies.Contains)
			}
			problem.RequestInfoFrom(r.Context()).Client = client
			next.ServeHTTP(w, r)
		})
	}
}

// remoteIP returns the address of the other end of the connection; the zero Addr if it is not an IP address.
func remoteIP(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap().WithZone("")
}

// forwardedIP returns the right-most hop that is not trusted, from X-Forwarded-For or else from Forwarded (RFC 7239).
// Without such a hop it is remote. If that hop or one to its right is unreadable, it is the zero Addr.
func forwardedIP(header http.Header, remote netip.Addr, trusted func(netip.Addr) bool) netip.Addr {
	hops := splitHops(header.Values("X-Forwarded-For"))
	if len(hops) == 0 {
		hops = forwardedFor(header.Values("Forwarded"))
	}
	for _, hop := range slices.Backward(hops) {
		client, ok := parseHop(hop)
		if !ok {
			return netip.Addr{}
		}
		if !trusted(client) {
			return client
		}
	}
	return remote
}

// splitHops returns the elements of a comma-separated header, without empty ones.
func splitHops(lines []string) []string {
	var hops []string
	for _, line := range lines {
		for _, hop := range splitQuoted(line, ',') {
			if hop = strings.TrimSpace(hop); hop != "" {
				hops = append(hops, hop)
			}
		}
	}
	return hops
}

// forwardedFor returns the parameter "for" of each element of the header Forwarded; "" where an element has none.
func forwardedFor(lines []string) []string {
	hops := splitHops(lines)
	for i, element := range hops {
		hops[i] = ""
		for _, pair := range splitQuoted(element, ';') {
			name, value, _ := strings.Cut(pair, "=")
			if strings.EqualFold(strings.TrimSpace(name), "for") {
				hops[i] = strings.TrimSpace(value)
			}
		}
	}
	return hops
}

// splitQuoted splits text at separator, but not within double quotes.
func splitQuoted(text string, separator byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := range len(text) {
		switch text[i] {
		case '"':
			quoted = !quoted
		case separator:
			if !quoted {
				parts, start = append(parts, text[start:i]), i+1
			}
		}
	}
	return append(parts, text[start:])
}

// parseHop parses an IP address that may have a port, brackets and quotes, such as "[2001:db8::1]:443".
func parseHop(hop string) (netip.Addr, bool) {
	if len(hop) > 1 && strings.HasPrefix(hop, `"`) && strings.HasSuffix(hop, `"`) {
		hop = strings.TrimSpace(hop[1 : len(hop)-1])
	}
	if inside, ok := strings.CutPrefix(hop, "["); ok {
		address, port, closed := strings.Cut(inside, "]")
		if !closed || port != "" && !strings.HasPrefix(port, ":") {
			return netip.Addr{}, false
		}
		hop = address
	} else if strings.Count(hop, ":") == 1 {
		hop, _, _ = strings.Cut(hop, ":")
	}
	address, err := netip.ParseAddr(hop)
	return address.Unmap().WithZone(""), err == nil
}

// clientIPText returns the client IP for the access log.
func clientIPText(client netip.Addr) string {
	if !client.IsValid() {
		return "unreadable"
	}
	return client.String()
}
