package admin

import (
	"net"
	"net/http"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// policy is what a page of ours may do: nothing but what comes from here, and no script or style
// within the page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure sets the security headers of every response and refuses requests that the page of another site makes a browser send.
func (a *Admin) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store") // unless an answer says otherwise: who has logged out cannot go back
		switch {
		case !a.serves(r.Host):
			problem.Write(w, r, &problem.Error{
				Code: problem.CodeMisdirected, Detail: "Without a token only loopback host names are served, such as localhost.",
			})
		case a.origins.Check(r) != nil:
			problem.Write(w, r, &problem.Error{Code: problem.CodeCrossOrigin, Detail: "Requests from pages of other sites are refused."})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// serves says whether a request for this host is meant for us. Without a token it must be a name of
// this machine: a stranger's page whose name was made to point here (DNS rebinding) still
// sends its own. With a token it would have to know that.
func (a *Admin) serves(host string) bool {
	if a.auth.required() {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return configtypes.IsLoopback(strings.Trim(host, "[]"))
}
