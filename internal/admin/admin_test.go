package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
)

const adminToken = "admin-token-0123456789"

// These stand where the stores are, for tests in which nobody gets that far. What the door does with
// real stores is tested in package app.
type (
	targets      = admin.Targets
	noTargets    struct{ targets }
	noQuarantine struct{ admin.Quarantine }
)

// endedSessions remembers sessions that were ended, or does not answer.
type endedSessions struct {
	err   error
	mutex sync.Mutex
	ids   []string
}

func (e *endedSessions) EndSession(_ context.Context, id string, _ time.Time) error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.ids = append(e.ids, id)
	return e.err
}

func (e *endedSessions) SessionEnded(_ context.Context, id string) (bool, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Contains(e.ids, id), e.err
}

func router(t *testing.T, token string) chi.Router {
	t.Helper()
	return routerOver(t, token, &endedSessions{})
}

// routerOver is a replica that shares the ended sessions with others.
func routerOver(t *testing.T, token string, ended *endedSessions) chi.Router {
	t.Helper()
	return doorTo(t, admin.Config{Addr: "127.0.0.1:0", Token: secret.New(token)}, admin.Deps{Targets: noTargets{}, Quarantine: noQuarantine{}, Sessions: ended})
}

// doorTo is a door before what a test has behind it.
func doorTo(t *testing.T, config admin.Config, behind admin.Deps) chi.Router {
	t.Helper()
	behind.Log, behind.Counts = zerolog.Nop(), admin.NewCounts(nil)
	door, err := admin.New(config, behind)
	if err != nil {
		t.Fatal(err)
	}
	server, err := httpserver.NewAdmin(limits(), "127.0.0.1:0", httpserver.AdminDeps{Log: zerolog.Nop(), Mount: door.Mount, End: door.End})
	if err != nil {
		t.Fatal(err)
	}
	return server.Router()
}

func limits() httpserver.Config {
	const second = 1_000_000_000
	return httpserver.Config{ReadHeaderTimeout: second, ReadTimeout: second, WriteTimeout: 2 * second, IdleTimeout: second, MaxHeaderBytes: 8 << 10, MaxConnections: 10}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	rows := []struct{ addr, token, want string }{
		{"127.0.0.1:8081", "", ""},
		{"localhost:8081", "", ""},
		{"[::1]:8081", "", ""},
		{"127.9.9.9:0", "", ""},
		{"127.0.0.1:8081", adminToken, ""},
		{":8081", adminToken, ""},
		{":8081", "", "TOKEN"},
		{"0.0.0.0:8081", "", "TOKEN"},
		{"10.0.0.1:8081", "", "TOKEN"},
		{"localhost.example.com:8081", "", "TOKEN"},
		{"[::ffff:10.0.0.1]:8081", "", "TOKEN"},
		{"127.0.0.1:8081", "short", "TOKEN"},
		{":8081", "with a space in it", "TOKEN"},
		{":8081", strings.Repeat("a", 513), "TOKEN"},
		{"127.0.0.1", "", "ADDR"},
		{"127.0.0.1:http", "", "ADDR"},
		{"127.0.0.1:99999", "", "ADDR"},
	}
	for _, row := range rows {
		err := admin.Config{Addr: row.addr, Token: secret.New(row.token)}.Validate()
		if got := fmt.Sprint(err); (err == nil) != (row.want == "") || !strings.HasPrefix(got, row.want) && err != nil {
			t.Errorf("%s with %q: %v, want %q", row.addr, row.token, err, row.want)
		}
		if err != nil && row.token != "" && strings.Contains(err.Error(), row.token) {
			t.Errorf("%v shows the token", err)
		}
	}
}

// The specification and the API are the same, both ways.
func TestRoutesAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	served := map[string]bool{}
	err := chi.Walk(router(t, ""), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
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
		t.Errorf("served are %v\nand specified are %v", slices.Sorted(maps.Keys(served)), slices.Sorted(maps.Keys(specified)))
	}
}

// Programs get the specification as YAML, and browsers as text that they show.
func TestSpecification(t *testing.T) {
	t.Parallel()
	want, err := api.Specification()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ accept, contentType string }{
		{accept: "*/*", contentType: "application/yaml"},
		{accept: "text/html,*/*", contentType: "text/plain; charset=utf-8"},
	} {
		response := ask(router(t, ""), "GET", "/openapi.yaml", with("Accept", row.accept))
		got, err := io.ReadAll(response.Body)
		if err != nil || string(got) != string(want) || response.Header.Get("Content-Type") != row.contentType {
			t.Errorf("Accept %s: got %d bytes of %q, error %v; want %d bytes of %q", row.accept, len(got), response.Header.Get("Content-Type"), err, len(want), row.contentType)
		}
	}
	if response := ask(router(t, ""), "GET", "/api", nil); response.StatusCode != http.StatusFound || response.Header.Get("Location") != "/openapi.yaml" {
		t.Errorf("/api: status = %d, location = %q; want 302 to /openapi.yaml", response.StatusCode, response.Header.Get("Location"))
	}
}

// ask sends a request and gives the answer.
func ask(handler http.Handler, method, target string, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, target, http.NoBody)
	r.Host, r.RemoteAddr = "127.0.0.1:8081", "127.0.0.1:50000"
	if change != nil {
		change(r)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	return answer.Result()
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// What a stranger's page makes a browser do reaches nothing.
func TestGuard(t *testing.T) {
	t.Parallel()
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	rows := []struct {
		name, token, method, path string
		change                    func(*http.Request)
		want                      int
	}{
		{"this machine", "", "GET", "/openapi.yaml", nil, 200},
		{"by name", "", "GET", "/openapi.yaml", host("localhost:8081"), 200},
		{"IPv6", "", "GET", "/openapi.yaml", host("[::1]:8081"), 200},
		{"rebound name", "", "GET", "/openapi.yaml", host("evil.example:8081"), 421},
		{"name that looks alike", "", "GET", "/openapi.yaml", host("localhost.evil.example"), 421},
		{"no name", "", "GET", "/openapi.yaml", host(""), 421},
		{"rebound name, change", "", "POST", "/api/v1/replays", host("evil.example"), 421},
		{"any name behind a proxy, with the token", adminToken, "GET", "/openapi.yaml", func(r *http.Request) {
			r.Host = "receiver.example"
			r.Header.Set("Authorization", "Bearer "+adminToken)
		}, 200},
		{"cross-site change", "", "POST", "/api/v1/replays", with("Sec-Fetch-Site", "cross-site"), 403},
		{"same-site change", "", "POST", "/events/x/replay", with("Sec-Fetch-Site", "same-site"), 403},
		{"change of another origin, old browser", "", "POST", "/logout", with("Origin", "http://localhost:3000"), 403},
		{"own change", "", "POST", "/logout", with("Sec-Fetch-Site", "same-origin"), 303},
		{"own change, old browser", "", "POST", "/logout", with("Origin", "http://127.0.0.1:8081"), 303},
		{"cross-site log-in", adminToken, "POST", "/login", with("Sec-Fetch-Site", "cross-site"), 403},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			answer := ask(router(t, row.token), row.method, row.path, row.change)
			if answer.StatusCode != row.want {
				t.Errorf("answered %d, want %d", answer.StatusCode, row.want)
			}
			policy := answer.Header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") || answer.Header.Get("X-Content-Type-Options") != "nosniff" ||
				answer.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", answer.Header)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	rows := []struct {
		name, path string
		change     func(*http.Request)
		want       int
	}{
		{"Bearer", "/openapi.yaml", with("Authorization", "Bearer "+adminToken), 200},
		{"Basic, any user", "/openapi.yaml", basic("anybody", adminToken), 200},
		{"Basic, no user", "/openapi.yaml", basic("", adminToken), 200},
		{"nothing", "/openapi.yaml", nil, 401},
		{"nothing, page", "/", with("Accept", "text/html"), 303},
		{"nothing, unknown page", "/nothing", nil, 401},
		{"wrong", "/openapi.yaml", with("Authorization", "Bearer admin-token-9876543210"), 401},
		{"wrong, Basic", "/openapi.yaml", basic("admin", "admin"), 401},
		{"empty", "/openapi.yaml", with("Authorization", "Bearer "), 401},
		{"token as the user", "/openapi.yaml", basic(adminToken, ""), 401},
		{"token in the query", "/openapi.yaml?token=" + adminToken, nil, 401},
		{"forged session", "/openapi.yaml", with("Cookie", "receiver_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 401},
		{"assets are for everybody", "/assets/app.css", nil, 200},
		{"the page to log in as well", "/login", nil, 200},
		{"assets lead nowhere else", "/assets/..%2fapi%2fv1%2fstats", nil, 404},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			answer := ask(router(t, adminToken), "GET", row.path, row.change)
			if answer.StatusCode != row.want {
				t.Errorf("answered %d, want %d", answer.StatusCode, row.want)
			}
			if row.want == http.StatusUnauthorized && len(answer.Header.Values("WWW-Authenticate")) != 2 {
				t.Errorf("challenges %q", answer.Header.Values("WWW-Authenticate"))
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

func TestSession(t *testing.T) {
	t.Parallel()
	handler := router(t, adminToken)
	answer := logIn(handler, adminToken, "/events?status=dead")
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/events?status=dead" || len(answer.Cookies()) != 1 {
		t.Fatalf("answered %d, %v", answer.StatusCode, answer.Header)
	}
	session := answer.Cookies()[0]
	if !session.HttpOnly || session.SameSite != http.SameSiteStrictMode || strings.Contains(session.Value, adminToken) {
		t.Errorf("cookie %v", session)
	}
	carry := func(value string) func(*http.Request) { return with("Cookie", session.Name+"="+value) }
	if answer := ask(handler, "GET", "/openapi.yaml", carry(session.Value)); answer.StatusCode != http.StatusOK {
		t.Errorf("a session is answered %d", answer.StatusCode)
	}
	if answer := ask(router(t, "another-token-0123456789"), "GET", "/openapi.yaml", carry(session.Value)); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session of another token is answered %d", answer.StatusCode)
	}
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "javascript:alert(1)", ""} {
		if got := logIn(handler, adminToken, next).Header.Get("Location"); got != "/" {
			t.Errorf("after logging in %q leads to %q", next, got)
		}
	}
}

// Whoever logs out is out, also with a copy of the cookie and at another replica. Others stay in.
func TestLogOutEndsTheSession(t *testing.T) {
	t.Parallel()
	ended := &endedSessions{}
	here, there := routerOver(t, adminToken, ended), routerOver(t, adminToken, ended)
	mine, other := logIn(here, adminToken, "/").Cookies()[0], logIn(here, adminToken, "/").Cookies()[0]
	carry := func(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }
	answer := ask(here, "POST", "/logout", carry(mine))
	if answer.StatusCode != http.StatusSeeOther || answer.Cookies()[0].MaxAge >= 0 {
		t.Errorf("logging out is answered %d and leaves %v", answer.StatusCode, answer.Cookies())
	}
	for name, replica := range map[string]http.Handler{"here": here, "there": there} {
		if status := ask(replica, "GET", "/openapi.yaml", carry(mine)).StatusCode; status != http.StatusUnauthorized {
			t.Errorf("%s the ended session is answered %d", name, status)
		}
		if status := ask(replica, "GET", "/openapi.yaml", carry(other)).StatusCode; status != http.StatusOK {
			t.Errorf("%s another session is answered %d", name, status)
		}
	}
	// While nobody can tell, nobody gets in by a session, and by the token as ever.
	ended.err = errors.New("the disk is gone")
	if status := ask(here, "GET", "/openapi.yaml", carry(other)).StatusCode; status != http.StatusInternalServerError {
		t.Errorf("without a store a session is answered %d", status)
	}
	if answer := ask(here, "POST", "/logout", func(r *http.Request) {
		r.AddCookie(other)
		r.Header.Set("Authorization", "Bearer "+adminToken)
	}); answer.StatusCode != http.StatusInternalServerError || len(answer.Cookies()) != 0 {
		t.Errorf("logging out without a store is answered %d and leaves %v", answer.StatusCode, answer.Cookies())
	}
}

func TestWrongParameters(t *testing.T) {
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
			t.Errorf("%s is answered %d, want %d", request, answer.StatusCode, want)
		}
		path, _, _ := strings.Cut(target, "?")
		if strings.HasPrefix(path, "/api/") {
			if err := document.Validate(method, path, answer); err != nil {
				t.Errorf("%s: %v", request, err)
			}
		}
	}
}
