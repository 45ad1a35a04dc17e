package admin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/sourcelimit"
)

// A client IP may present failureBurst wrong tokens at once, and then one in each failureInterval.
const (
	failureBurst    = 10
	failureInterval = 10 * time.Second
)

// auth decides which requests are served.
type auth struct {
	tokens   secret.List // empty: all requests are served
	sessions *sessions
	limit    *sourcelimit.Limiter // of wrong tokens
}

func newAuth(token secret.Value, ended *SessionStore) *auth {
	a := &auth{limit: sourcelimit.New(failureBurst, failureInterval)}
	if !token.IsZero() {
		a.tokens, a.sessions = secret.List{token}, newSessions(token, ended)
	}
	return a
}

// required reports whether a token or a session is needed.
func (a *auth) required() bool { return len(a.tokens) > 0 }

// check returns nil if the token is right, whatever the client IP sent before. The wrong tokens of a client IP are limited.
func (a *auth) check(r *http.Request, token string) error {
	if a.tokens.Match(token) {
		return nil
	}
	client := problem.RequestInfoFrom(r.Context()).Client
	if wait := a.limit.Wait(client, time.Now()); wait > 0 {
		return &problem.Error{Code: problem.CodeTooManyRequests, Detail: "Too many wrong tokens from your address. Try again later.", RetryAfter: wait}
	}
	a.limit.Charge(client, time.Now())
	return &problem.Error{Code: problem.CodeUnauthorized, Detail: "The token is wrong."}
}

// isPublic reports whether a path is served without a token: what the login page needs.
func isPublic(path string) bool {
	return path == loginPath || strings.HasPrefix(path, assetsPath)
}

// authenticate serves only requests with the token or with a session.
func (a *Admin) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.auth.required() || isPublic(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		token := tokenOf(r)
		if _, ok := a.auth.sessions.read(r, time.Now()); token == "" || ok && !a.auth.tokens.Match(token) {
			a.serveSession(w, r, next)
			return
		}
		if err := a.auth.check(r, token); err != nil {
			setChallenge(w)
			problem.Write(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveSession serves requests of a session, and asks others to log in.
func (a *Admin) serveSession(w http.ResponseWriter, r *http.Request, next http.Handler) {
	switch ok, err := a.auth.sessions.isValid(r); {
	case err != nil && wantsPage(r):
		a.show(w, r, "problem", view{Section: "login"}, err)
	case err != nil:
		problem.Write(w, r, err)
	case ok:
		next.ServeHTTP(w, r)
	default:
		a.challenge(w, r)
	}
}

// isStillAuthenticated reports whether a request that was served would be served again. Streams check it now and then.
func (a *Admin) isStillAuthenticated(r *http.Request) bool {
	if !a.auth.required() || a.auth.tokens.Match(tokenOf(r)) {
		return true
	}
	ok, err := a.auth.sessions.isValid(r)
	return ok && err == nil
}

// challenge redirects a browser to the login page, and answers other clients with 401.
func (a *Admin) challenge(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("HX-Request") != "" {
		w.Header().Set("HX-Redirect", a.config.basePath()+loginPath)
		problem.Write(w, r, &problem.Error{Code: problem.CodeUnauthorized, Detail: "Your session has ended. Log in again."})
		return
	}
	if wantsPage(r) {
		a.redirect(w, r, loginPath+"?next="+url.QueryEscape(r.URL.RequestURI()))
		return
	}
	setChallenge(w)
	problem.Write(w, r, &problem.Error{Code: problem.CodeUnauthorized, Detail: "Send the token as Bearer or as the password of Basic authentication."})
}

func setChallenge(w http.ResponseWriter) {
	w.Header()["Www-Authenticate"] = []string{`Bearer realm="admin"`, `Basic realm="admin", charset="UTF-8"`}
}

// tokenOf is the Basic password of a request, or its Bearer token; "" if it has none.
func tokenOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}
