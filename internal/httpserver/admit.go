package httpserver

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5/middleware"
)

// admit keeps callbacks out while the server drains, and those from addresses
// that are not allowed. A client whose address cannot be read is not allowed when
// addresses matter; when they do not, its callback is not lost for that.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.draining.Load():
			problem.Write(w, r, problem.Unavailable("The receiver is stopping.", nil))
		case !s.allows(problem.RequestInfoFrom(r.Context()).Client):
			problem.Write(w, r, &problem.Error{Code: problem.CodeForbidden, Detail: "Callbacks are not taken from your address."})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) allows(client netip.Addr) bool {
	allowed := s.config.AllowedSourceCIDRs
	return len(allowed) == 0 || allowed.Contains(client) // no network contains the zero Addr
}

// limitHeaders refuses a header section over the limit.
func (s *Server) limitHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if headerBytes(r) > int64(s.config.MaxHeaderBytes) {
			problem.Write(w, r, &problem.Error{
				Code:   problem.CodeHeaders,
				Detail: "The request line and the headers may have " + s.config.MaxHeaderBytes.String() + " together.",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headerBytes is the length of a header section as it was sent, request line
// included, without optional white space.
func headerBytes(r *http.Request) int64 {
	const lineEnd, separator = len("\r\n"), len(": ")
	n := len(r.Method) + len(" ") + len(r.RequestURI) + len(" ") + len(r.Proto) + lineEnd
	n += len("Host") + separator + len(r.Host) + lineEnd
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + separator + len(value) + lineEnd
		}
	}
	return int64(n + lineEnd)
}

// locate makes the middleware that finds out who the client is.
func locate(proxies configtypes.Prefixes) []func(http.Handler) http.Handler {
	if len(proxies) == 0 {
		return []func(http.Handler) http.Handler{noteClient(peer)}
	}
	trusted := make([]string, len(proxies))
	for i, prefix := range proxies {
		trusted[i] = prefix.String()
	}
	return []func(http.Handler) http.Handler{middleware.ClientIPFromXFF(trusted...), noteClient(forwarded)}
}

func noteClient(find func(*http.Request) netip.Addr) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			problem.RequestInfoFrom(r.Context()).Client = find(r)
			next.ServeHTTP(w, r)
		})
	}
}

// peer is the other end of the connection.
func peer(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap().WithZone("")
}

// forwarded is the client that the trusted proxies tell of. If they tell of none,
// or of each other only, it is the peer; if they tell what cannot be read, it is nobody.
func forwarded(r *http.Request) netip.Addr {
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
	return peer(r)
}

func clientName(client netip.Addr) string {
	if !client.IsValid() {
		return "unreadable"
	}
	return client.String()
}
