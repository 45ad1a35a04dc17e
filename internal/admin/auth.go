package admin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// access says who may use the door.
type access struct {
	tokens   secret.List // none: everybody who gets here
	sessions *sessions
	failures *failures
}

func newAccess(token secret.Value, ended Sessions) *access {
	a := &access{failures: newFailures()}
	if !token.IsZero() {
		a.tokens, a.sessions = secret.List{token}, newSessions(token, ended)
	}
	return a
}

// required says that a token is asked for.
func (a *access) required() bool { return len(a.tokens) > 0 }

// check says whether a presented token is right. Who has failed too often is not even looked at.
func (a *access) check(r *http.Request, presented string) error {
	client := network(problem.RequestInfoFrom(r.Context()).Client)
	if wait := a.failures.wait(client, time.Now()); wait > 0 {
		return &problem.Error{Code: problem.CodeTooManyRequests, Detail: "There were too many wrong tokens from your address. Try again later.", RetryAfter: wait}
	}
	if a.tokens.Match(presented) {
		return nil
	}
	a.failures.add(client, time.Now())
	return &problem.Error{Code: problem.CodeUnauthorized, Detail: "The token is wrong."}
}

// isOpen says which addresses are there for those who still have to log in.
func isOpen(path string) bool {
	return path == loginPath || strings.HasPrefix(path, assetsPath)
}

// authenticate lets only those pass who show the token, or a session that was begun with it.
func (a *Admin) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.access.required() || isOpen(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		presented := presentedToken(r)
		if presented == "" {
			a.resume(w, r, next)
			return
		}
		if err := a.access.check(r, presented); err != nil {
			setChallenge(w)
			problem.Write(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// resume lets those pass who have a session.
func (a *Admin) resume(w http.ResponseWriter, r *http.Request, next http.Handler) {
	switch has, err := a.access.sessions.has(r); {
	case err != nil && wantsPage(r):
		a.show(w, r, "problem", view{Section: "login"}, err)
	case err != nil:
		problem.Write(w, r, err)
	case has:
		next.ServeHTTP(w, r)
	default:
		a.challenge(w, r)
	}
}

// isStillIn says whether a request that has passed would pass again: it is asked for answers without an end.
func (a *Admin) isStillIn(r *http.Request) bool {
	if !a.access.required() || presentedToken(r) != "" {
		return true
	}
	has, err := a.access.sessions.has(r)
	return has && err == nil
}

// challenge sends a browser to the page where one logs in, and tells all others what to show.
func (a *Admin) challenge(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("HX-Request") != "" {
		w.Header().Set("HX-Redirect", loginPath)
		problem.Write(w, r, &problem.Error{Code: problem.CodeUnauthorized, Detail: "Your session has ended. Log in again."})
		return
	}
	if wantsPage(r) {
		http.Redirect(w, r, loginPath+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	setChallenge(w)
	problem.Write(w, r, &problem.Error{Code: problem.CodeUnauthorized, Detail: "A token is needed, as Bearer or as the password of Basic."})
}

func setChallenge(w http.ResponseWriter) {
	w.Header()["Www-Authenticate"] = []string{`Bearer realm="admin"`, `Basic realm="admin", charset="UTF-8"`}
}

// presentedToken is the Bearer token of a request, else its Basic password; "" if there is none.
func presentedToken(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}
