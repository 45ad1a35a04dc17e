package httpserver

import (
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/problem"
)

// allow refuses callbacks on spare connections and while the server stops, and callbacks from client IPs outside of
// AllowedSourceCIDRs. An unreadable client IP is refused only if AllowedSourceCIDRs is set.
func (s *Server) allow(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := s.config.AllowedSourceCIDRs
		switch {
		case connectionOf(r) != nil && connectionOf(r).spare:
			w.Header().Set("Connection", "close")
			problem.Write(w, r, problem.Unavailable("Too many connections are open.", nil))
		case s.stopping.Load():
			problem.Write(w, r, problem.Unavailable("The receiver is shutting down.", nil))
		case len(allowed) > 0 && !allowed.Contains(problem.RequestInfoFrom(r.Context()).Client): // no network contains the zero Addr
			problem.Write(w, r, &problem.Error{
				Code: problem.CodeForbidden, Detail: "Callbacks from your address are not allowed. See RECEIVER_ALLOWED_SOURCE_CIDRS.",
			})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// shareConnections refuses a request that came through a proxy from a client that has its share of connections.
func shareConnections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !connectionOf(r).beginRequest(problem.RequestInfoFrom(r.Context()).Client) {
			w.Header().Set("Connection", "close")
			problem.Write(w, r, problem.Unavailable("Too many requests of your address are in progress.", nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// limitHeaders refuses a header section over MaxHeaderBytes.
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

// headerBytes returns the length of the header section, request line included, without optional white space.
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
