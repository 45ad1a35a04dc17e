package admin_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	rows := []struct{ addr, token, want string }{
		{addr: "127.0.0.1:8081"},
		{addr: "localhost:8081"},
		{addr: "[::1]:8081"},
		{addr: "127.9.9.9:0"},
		{addr: "127.0.0.1:8081", token: adminToken},
		{addr: ":8081", token: adminToken},
		{addr: ":8081", want: "TOKEN"},
		{addr: "0.0.0.0:8081", want: "TOKEN"},
		{addr: "10.0.0.1:8081", want: "TOKEN"},
		{addr: "localhost.example.com:8081", want: "TOKEN"},
		{addr: "[::ffff:10.0.0.1]:8081", want: "TOKEN"},
		{addr: "127.0.0.1:8081", token: "short", want: "TOKEN"},
		{addr: ":8081", token: "with a space in it", want: "TOKEN"},
		{addr: ":8081", token: strings.Repeat("a", 513), want: "TOKEN"},
		{addr: "127.0.0.1", want: "ADDR"},
		{addr: "127.0.0.1:http", want: "ADDR"},
		{addr: "127.0.0.1:99999", want: "ADDR"},
	}
	for _, row := range rows {
		err := admin.Config{Addr: row.addr, Token: secret.New(row.token)}.Validate()
		if got := fmt.Sprint(err); (err == nil) != (row.want == "") || !strings.HasPrefix(got, row.want) && err != nil {
			t.Errorf("%s with token %q: error = %v, want one of %q", row.addr, row.token, err, row.want)
		}
		if err != nil && row.token != "" && strings.Contains(err.Error(), row.token) {
			t.Errorf("error = %v, want no token in it", err)
		}
	}
}

// The specification and the API are the same, both ways.
func TestRoutesAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	served := map[string]bool{}
	err := chi.Walk(router(t, "").(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method != http.MethodHead && (strings.HasPrefix(route, "/api/") || route == "/openapi.yaml" || route == "/metrics") {
			served[method+" "+route] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	specified := map[string]bool{}
	for path, item := range apitest.Load(t).OpenAPI.Paths.Map() {
		for method, operation := range item.Operations() {
			if slices.Contains(operation.Tags, "admin") {
				specified[method+" "+path] = true
			}
		}
	}
	if !maps.Equal(served, specified) {
		t.Errorf("served routes differ from the specification (-want +got):\n%s", cmp.Diff(slices.Sorted(maps.Keys(specified)), slices.Sorted(maps.Keys(served))))
	}
}

// Programs get the specification as YAML, and browsers as text that they show.
func TestSpecification(t *testing.T) {
	t.Parallel()
	want, err := api.Specification()
	if err != nil {
		t.Fatal(err)
	}
	handler := router(t, "")
	for _, row := range []struct{ accept, contentType string }{
		{accept: "*/*", contentType: "application/yaml"},
		{accept: "text/html,*/*", contentType: "text/plain; charset=utf-8"},
	} {
		response := ask(handler, "GET", "/openapi.yaml", withHeader("Accept", row.accept))
		got, err := io.ReadAll(response.Body)
		if err != nil || !bytes.Equal(got, want) || response.Header.Get("Content-Type") != row.contentType {
			t.Errorf("Accept %s: got %d bytes of %q, error %v; want %d bytes of %q", row.accept, len(got), response.Header.Get("Content-Type"), err, len(want), row.contentType)
		}
	}
	if response := ask(handler, "GET", "/api", nil); response.StatusCode != http.StatusFound || response.Header.Get("Location") != "/openapi.yaml" {
		t.Errorf("/api: status = %d, location = %q; want 302 to /openapi.yaml", response.StatusCode, response.Header.Get("Location"))
	}
}

// Pages of other sites change nothing, also by DNS rebinding.
func TestCrossOriginRequestsAreRefused(t *testing.T) {
	t.Parallel()
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	rows := []struct {
		name, token, method, path string
		change                    func(*http.Request)
		want                      int
	}{
		{name: "this machine", method: "GET", path: "/openapi.yaml", want: 200},
		{name: "by name", method: "GET", path: "/openapi.yaml", change: host("localhost:8081"), want: 200},
		{name: "IPv6", method: "GET", path: "/openapi.yaml", change: host("[::1]:8081"), want: 200},
		{name: "rebound name", method: "GET", path: "/openapi.yaml", change: host("evil.example:8081"), want: 421},
		{name: "similar name", method: "GET", path: "/openapi.yaml", change: host("localhost.evil.example"), want: 421},
		{name: "no name", method: "GET", path: "/openapi.yaml", change: host(""), want: 421},
		{name: "rebound name, change", method: "POST", path: "/api/v1/replays", change: host("evil.example"), want: 421},
		{name: "any name behind a proxy, with the token", token: adminToken, method: "GET", path: "/openapi.yaml", change: func(r *http.Request) {
			r.Host = "receiver.example"
			r.Header.Set("Authorization", "Bearer "+adminToken)
		}, want: 200},
		{name: "cross-site change", method: "POST", path: "/api/v1/replays", change: withHeader("Sec-Fetch-Site", "cross-site"), want: 403},
		{name: "same-site change", method: "POST", path: "/events/x/replay", change: withHeader("Sec-Fetch-Site", "same-site"), want: 403},
		{name: "cross-origin change, old browser", method: "POST", path: "/logout", change: withHeader("Origin", "http://localhost:3000"), want: 403},
		{name: "same-origin change", method: "POST", path: "/logout", change: withHeader("Sec-Fetch-Site", "same-origin"), want: 303},
		{name: "same-origin change, old browser", method: "POST", path: "/logout", change: withHeader("Origin", "http://127.0.0.1:8081"), want: 303},
		{name: "D6 cross-site read", method: "GET", path: "/openapi.yaml", change: fetched("cross-site", "no-cors", "script"), want: 403},
		{name: "D6 cross-site read by a script", method: "GET", path: "/api/v1/events", change: fetched("cross-site", "cors", "empty"), want: 403},
		{name: "D6 read from another port", method: "GET", path: "/debug/pprof/trace?seconds=1", change: fetched("same-site", "no-cors", "image"), want: 403},
		{name: "D6 cross-site HEAD", method: "HEAD", path: "/openapi.yaml", change: fetched("cross-site", "no-cors", "empty"), want: 403},
		{name: "D6 cross-site event stream", method: "GET", path: "/api/v1/stream", change: fetched("cross-site", "cors", "empty"), want: 403},
		{name: "D6 cross-site frame", method: "GET", path: "/debug/pprof/", change: fetched("cross-site", "navigate", "iframe"), want: 403},
		{name: "D6 unknown site", method: "GET", path: "/openapi.yaml", change: fetched("elsewhere", "no-cors", "empty"), want: 403},
		{name: "D6 cross-origin read, old browser", method: "GET", path: "/openapi.yaml", change: withHeader("Origin", "http://localhost:3000"), want: 403},
		{name: "D6 link on another site", method: "GET", path: "/openapi.yaml", change: fetched("cross-site", "navigate", "document"), want: 200},
		{name: "D6 link on another site, no destination", method: "GET", path: "/openapi.yaml", change: fetched("cross-site", "navigate", ""), want: 200},
		{name: "D6 script of our page", method: "GET", path: "/openapi.yaml", change: fetched("same-origin", "cors", "empty"), want: 200},
		{name: "D6 address bar", method: "GET", path: "/openapi.yaml", change: fetched("none", "navigate", "document"), want: 200},
		{name: "D6 navigation that changes", method: "POST", path: "/logout", change: fetched("cross-site", "navigate", "document"), want: 403},
		{name: "cross-site login", token: adminToken, method: "POST", path: "/login", change: withHeader("Sec-Fetch-Site", "cross-site"), want: 403},
	}
	handlers := map[string]http.Handler{"": router(t, ""), adminToken: router(t, adminToken)}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response := ask(handlers[row.token], row.method, row.path, row.change)
			if response.StatusCode != row.want {
				t.Errorf("status = %d, want %d", response.StatusCode, row.want)
			}
			policy := response.Header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("Content-Security-Policy = %q, want frame-ancestors 'none' and nothing unsafe", policy)
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

// fetched sets the headers by which a browser describes a request.
func fetched(site, mode, destination string) func(*http.Request) {
	return func(r *http.Request) {
		for name, value := range map[string]string{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
	}
}

func TestProfileDuration(t *testing.T) {
	t.Parallel()
	handler := router(t, "")
	for _, row := range []struct {
		name, path string
		want       int
	}{
		{name: "D6 trace of a day", path: "trace?seconds=100000", want: 400},
		{name: "D6 trace just too long", path: "trace?seconds=60.5", want: 400},
		{name: "D6 profile", path: "profile?seconds=61", want: 400},
		{name: "D6 delta of the heap", path: "heap?seconds=61", want: 400},
		{name: "D6 delta of goroutines", path: "goroutine?debug=1&seconds=3600", want: 400},
		{name: "D6 two values", path: "trace?seconds=0.01&seconds=61", want: 400},
		{name: "D6 infinite", path: "trace?seconds=Inf", want: 400},
		{name: "D6 no number", path: "trace?seconds=NaN", want: 400},
		{name: "D6 overflow", path: "profile?seconds=9223372036854775808", want: 400},
		{name: "D6 text", path: "profile?seconds=long", want: 400},
		{name: "D6 negative", path: "profile?seconds=-1", want: 400},
		{name: "D6 short trace", path: "trace?seconds=0.01", want: 200},
		{name: "D6 no duration", path: "goroutine?debug=1", want: 200},
		{name: "D6 list", path: "", want: 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			response := ask(handler, "GET", "/debug/pprof/"+row.path, func(r *http.Request) { *r = *r.WithContext(ctx) })
			if response.StatusCode != row.want || ctx.Err() != nil {
				t.Errorf("%s: status = %d, error %v; want %d at once", row.path, response.StatusCode, ctx.Err(), row.want)
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	handler := router(t, adminToken)
	session := logIn(handler, adminToken, "/").Cookies()[0]
	const forged = "receiver_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	rows := []struct {
		name, path string
		change     func(*http.Request)
		want       int
	}{
		{name: "Bearer", path: "/openapi.yaml", change: withHeader("Authorization", "Bearer "+adminToken), want: 200},
		{name: "Basic, any user", path: "/openapi.yaml", change: basic("any-user", adminToken), want: 200},
		{name: "Basic, no user", path: "/openapi.yaml", change: basic("", adminToken), want: 200},
		{name: "no token", path: "/openapi.yaml", want: 401},
		{name: "D7 session and a wrong token", path: "/openapi.yaml", change: func(r *http.Request) {
			r.AddCookie(session)
			r.SetBasicAuth("admin", "a password of another service")
		}, want: 200},
		{name: "no token, page", path: "/", change: withHeader("Accept", "text/html"), want: 303},
		{name: "no token, unknown page", path: "/nothing", want: 401},
		{name: "wrong token", path: "/openapi.yaml", change: withHeader("Authorization", "Bearer admin-token-9876543210"), want: 401},
		{name: "wrong token, Basic", path: "/openapi.yaml", change: basic("admin", "admin"), want: 401},
		{name: "empty token", path: "/openapi.yaml", change: withHeader("Authorization", "Bearer "), want: 401},
		{name: "token as the user", path: "/openapi.yaml", change: basic(adminToken, ""), want: 401},
		{name: "token in the query", path: "/openapi.yaml?token=" + adminToken, want: 401},
		{name: "forged session", path: "/openapi.yaml", change: withHeader("Cookie", forged), want: 401},
		{name: "assets are public", path: "/assets/app.css", want: 200},
		{name: "the login page is public", path: "/login", want: 200},
		{name: "assets do not lead elsewhere", path: "/assets/..%2fapi%2fv1%2fstats", want: 404},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response := ask(handler, "GET", row.path, row.change)
			if response.StatusCode != row.want {
				t.Errorf("status = %d, want %d", response.StatusCode, row.want)
			}
			if got := len(response.Header.Values("WWW-Authenticate")); row.want == http.StatusUnauthorized && got != 2 {
				t.Errorf("challenges = %d, want 2", got)
			}
		})
	}
}

func logIn(handler http.Handler, token, next string) *http.Response {
	form := url.Values{"token": {token}, "next": {next}}.Encode()
	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = "127.0.0.1:50000"
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	return answer.Result()
}

// statusOf is the status of a request with a cookie.
func statusOf(handler http.Handler, cookie *http.Cookie) int {
	return ask(handler, "GET", "/openapi.yaml", func(r *http.Request) { r.AddCookie(cookie) }).StatusCode
}

func TestSession(t *testing.T) {
	t.Parallel()
	handler := router(t, adminToken)
	response := logIn(handler, adminToken, "/events?status=dead")
	if got := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || got != "/events?status=dead" || len(response.Cookies()) != 1 {
		t.Fatalf("login: status = %d, location = %q, %d cookies; want 303 to the page and a cookie", response.StatusCode, got, len(response.Cookies()))
	}
	session := response.Cookies()[0]
	if !session.HttpOnly || session.SameSite != http.SameSiteStrictMode || strings.Contains(session.Value, adminToken) {
		t.Errorf("cookie = %v, want HttpOnly, SameSite=Strict and no token", session)
	}
	if got := statusOf(handler, session); got != http.StatusOK {
		t.Errorf("with a session: status = %d, want 200", got)
	}
	if got := statusOf(router(t, "another-token-0123456789"), session); got != http.StatusUnauthorized {
		t.Errorf("with a session of another token: status = %d, want 401", got)
	}
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "javascript:alert(1)", ""} {
		if got := logIn(handler, adminToken, next).Header.Get("Location"); got != "/" {
			t.Errorf("login with next %q redirects to %q, want /", next, got)
		}
	}
}

// A logout ends a session for all replicas, also a copy of its cookie, and no other session.
func TestLogoutEndsTheSession(t *testing.T) {
	t.Parallel()
	shared := openStores(t)
	here, there := serve(t, adminToken, shared.deps()), serve(t, adminToken, shared.deps())
	mine, other := logIn(here, adminToken, "/").Cookies()[0], logIn(here, adminToken, "/").Cookies()[0]
	response := ask(here, "POST", "/logout", func(r *http.Request) { r.AddCookie(mine) })
	if response.StatusCode != http.StatusSeeOther || response.Cookies()[0].MaxAge >= 0 {
		t.Errorf("logout: status = %d, cookies = %v; want 303 and a deleted cookie", response.StatusCode, response.Cookies())
	}
	for name, replica := range map[string]http.Handler{"here": here, "there": there} {
		if got := statusOf(replica, mine); got != http.StatusUnauthorized {
			t.Errorf("%s, ended session: status = %d, want 401", name, got)
		}
		if got := statusOf(replica, other); got != http.StatusOK {
			t.Errorf("%s, other session: status = %d, want 200", name, got)
		}
	}

	// Without the store no session is accepted, and the token still is.
	shared.exec(t, "DROP TABLE ended_sessions")
	if got := statusOf(here, other); got != http.StatusInternalServerError {
		t.Errorf("session without a store: status = %d, want 500", got)
	}
	response = ask(here, "POST", "/logout", func(r *http.Request) {
		r.AddCookie(other)
		r.Header.Set("Authorization", "Bearer "+adminToken)
	})
	if response.StatusCode != http.StatusInternalServerError || len(response.Cookies()) != 0 {
		t.Errorf("logout without a store: status = %d, cookies = %v; want 500 and none", response.StatusCode, response.Cookies())
	}
}

func TestInvalidParameters(t *testing.T) {
	t.Parallel()
	handler := router(t, "")
	rows := map[string]int{
		"GET /api/v1/events?status=lost":                           400,
		"GET /api/v1/events?status=waiting":                        400,
		"GET /api/v1/events?reason=bad":                            400,
		"GET /api/v1/events?limit=0":                               400,
		"GET /api/v1/events?limit=201":                             400,
		"GET /api/v1/events?limit=x":                               400,
		"GET /api/v1/events?cursor=x":                              400,
		"GET /api/v1/events?from=yesterday":                        400,
		"GET /api/v1/events?q=" + strings.Repeat("a", 257):         400,
		"GET /api/v1/events?q=a%00":                                400,
		"GET /events?limit=x":                                      400,
		"GET /api/v1/events/x":                                     404,
		"GET /api/v1/events/x/body":                                404,
		"GET /api/v1/events/x/artifacts/0":                         404,
		"GET /api/v1/events/" + eventID + "/artifacts/x":           404,
		"GET /api/v1/jobs/unknown":                                 404,
		"POST /api/v1/jobs/track":                                  400,
		"POST /api/v1/jobs?wait=x":                                 400,
		"POST /jobs/track":                                         400,
		"POST /api/v1/events/x/replay":                             404,
		"POST /api/v1/replays?dry_run=perhaps":                     400,
		"POST /api/v1/replays?status=lost":                         400,
		"GET /nothing":                                             404,
		"POST /api/v1/stats":                                       405,
		"DELETE /api/v1/events":                                    405,
		"GET /events/..%2f..%2fetc%2fpasswd/artifacts/0/thumbnail": 404,
	}
	document := apitest.Load(t)
	for request, want := range rows {
		method, target, _ := strings.Cut(request, " ")
		answer := ask(handler, method, target, nil)
		if answer.StatusCode != want {
			t.Errorf("%s: status = %d, want %d", request, answer.StatusCode, want)
		}
		path, _, _ := strings.Cut(target, "?")
		if strings.HasPrefix(path, "/api/") {
			if err := document.Validate(method, path, answer); err != nil {
				t.Errorf("%s: response differs from the specification: %v", request, err)
			}
		}
	}
}
