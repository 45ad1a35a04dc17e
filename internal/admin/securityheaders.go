package admin

import (
	"net"
	"net/http"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// contentSecurityPolicy allows only resources of this listener, and neither scripts nor styles within a page.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure sets the security headers of every response and refuses requests that the page of another site makes a browser send.
func (a *Admin) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store") // the default, so that no page is shown from the cache after a logout
		switch {
		case !a.serves(r.Host):
			problem.Write(w, r, &problem.Error{
				Code: problem.CodeMisdirected, Detail: "Without a token only loopback host names are served, such as localhost.",
			})
		case a.isCrossOrigin(r):
			problem.Write(w, r, &problem.Error{Code: problem.CodeCrossOrigin, Detail: "Requests from pages of other sites are refused."})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isCrossOrigin reports whether the page of another origin made a browser send the request. Such a page may only lead the browser
// to a page of ours, but not load anything, because even reading has costs.
func (a *Admin) isCrossOrigin(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return a.origins.Check(r) != nil
	}
	destination := r.Header.Get("Sec-Fetch-Dest")
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" && (destination == "" || destination == "document") {
		return false
	}
	strict := *r
	strict.Method = http.MethodPost // Check accepts all requests that only read
	return a.origins.Check(&strict) != nil
}

// serves reports whether requests for a host are served. Without a token only loopback names are, against DNS rebinding: a page
// whose host name resolves to this machine sends its own name.
func (a *Admin) serves(host string) bool {
	if a.auth.required() {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return configtypes.IsLoopback(strings.Trim(host, "[]"))
}
