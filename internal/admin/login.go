package admin

import (
	"net/http"
	"strings"
	"time"
)

const (
	loginPath  = "/login"
	assetsPath = "/assets/"
)

// showLogin answers GET /login.
func (a *Admin) showLogin(w http.ResponseWriter, r *http.Request) {
	loggedIn := !a.auth.required()
	if !loggedIn {
		ok, err := a.auth.sessions.isValid(r)
		loggedIn = ok && err == nil
	}
	if loggedIn {
		a.redirect(w, r, "/")
		return
	}
	a.show(w, r, "login", view{Title: "Log in", Section: "login", Body: localPath(r.URL.Query().Get("next"))}, nil)
}

// login answers POST /login: the right token starts a session.
func (a *Admin) login(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	if err != nil {
		err = unreadableForm()
	} else if a.auth.required() {
		err = a.auth.check(r, r.PostForm.Get("token"))
	}
	if err != nil {
		a.show(w, r, "problem", view{Section: "login"}, err)
		return
	}
	if a.auth.required() {
		http.SetCookie(w, a.newCookie(r, a.auth.sessions.create(time.Now().Add(sessionLifetime))))
	}
	a.redirect(w, r, localPath(r.PostForm.Get("next")))
}

// localPath returns next if it is a path of this listener, and otherwise "/".
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// logout answers POST /logout. If the session cannot be ended the cookie stays, so that the user can try again.
func (a *Admin) logout(w http.ResponseWriter, r *http.Request) {
	if a.auth.required() {
		if err := a.auth.sessions.end(r); err != nil {
			a.show(w, r, "problem", view{}, err)
			return
		}
	}
	http.SetCookie(w, a.newCookie(r, ""))
	a.redirect(w, r, loginPath)
}
