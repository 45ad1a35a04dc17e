package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
)

const (
	loginPath  = "/login"
	assetsPath = "/assets/"
)

// login answers POST /login: the right token begins a session.
func (a *Admin) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		problem.Write(w, r, &problem.Error{Code: problem.CodeBadRequest, Detail: "The form cannot be read.", Err: err})
		return
	}
	if a.access.required() {
		if err := a.access.check(r, r.PostForm.Get("token")); err != nil {
			a.refuseLogin(w, r, err)
			return
		}
		http.SetCookie(w, cookie(r, a.access.sessions.seal(time.Now().Add(sessionLife))))
	}
	//nolint:gosec // local lets nothing but paths of ours through
	http.Redirect(w, r, local(r.PostForm.Get("next")), http.StatusSeeOther)
}

// local is an address of ours, whatever was asked for.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// logout answers POST /logout. A session that could not be ended is not left either, so that one can try again.
func (a *Admin) logout(w http.ResponseWriter, r *http.Request) {
	if a.access.required() {
		if err := a.access.sessions.end(r); err != nil {
			a.show(w, r, "problem", view{}, err)
			return
		}
	}
	http.SetCookie(w, cookie(r, ""))
	http.Redirect(w, r, loginPath, http.StatusSeeOther)
}

// refuseLogin tells that the token was wrong.
func (a *Admin) refuseLogin(w http.ResponseWriter, r *http.Request, err error) {
	a.show(w, r, "problem", view{Section: "login"}, err)
}

// showLogin answers GET /login.
func (a *Admin) showLogin(w http.ResponseWriter, r *http.Request) {
	if !a.access.required() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if has, err := a.access.sessions.has(r); has && err == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	a.show(w, r, "login", view{Title: "Log in", Section: "login", Body: local(r.URL.Query().Get("next"))}, nil)
}
