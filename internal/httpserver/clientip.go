package httpserver

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5/middleware"
)

// clientIP returns the middleware that sets RequestInfo.Client.
func clientIP(proxies configtypes.Prefixes) []func(http.Handler) http.Handler {
	if len(proxies) == 0 {
		return []func(http.Handler) http.Handler{setClientIP(remoteIP)}
	}
	trusted := make([]string, len(proxies))
	for i, prefix := range proxies {
		trusted[i] = prefix.String()
	}
	return []func(http.Handler) http.Handler{middleware.ClientIPFromXFF(trusted...), setClientIP(forwardedIP)}
}

func setClientIP(find func(*http.Request) netip.Addr) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			problem.RequestInfoFrom(r.Context()).Client = find(r)
			next.ServeHTTP(w, r)
		})
	}
}

// remoteIP returns the address of the other end of the connection.
func remoteIP(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap().WithZone("")
}

// forwardedIP returns the right-most hop that is not a trusted proxy. Without such a hop it is the
// remote IP; with an unreadable hop it is the zero Addr.
func forwardedIP(r *http.Request) netip.Addr {
	if client := middleware.GetClientIPAddr(r.Context()); client.IsValid() {
		return client.WithZone("")
	}
	for _, line := range r.Header.Values("X-Forwarded-For") {
		for hop := range strings.SplitSeq(line, ",") {
			if hop = strings.TrimSpace(hop); hop == "" {
				continue
			}
			if _, err := netip.ParseAddr(hop); err != nil {
				return netip.Addr{}
			}
		}
	}
	return remoteIP(r)
}

func clientIPText(client netip.Addr) string {
	if !client.IsValid() {
		return "unreadable"
	}
	return client.String()
}
