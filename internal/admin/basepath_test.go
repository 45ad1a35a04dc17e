package admin_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/rs/zerolog"
)

const basePath = "/tools/receiver"

// serveUnder serves the listener behind a proxy that keeps the base path.
func serveUnder(t *testing.T, base, token string, deps admin.Deps) http.Handler {
	t.Helper()
	listener, err := admin.New(admin.Config{Addr: "127.0.0.1:0", BasePath: base, Token: secret.New(token)}, deps)
	if err != nil {
		t.Fatal(err)
	}
	server, err := httpserver.NewAdmin(limits(), "127.0.0.1:0", httpserver.AdminDeps{Log: zerolog.Nop(), Mount: listener.Mount, End: listener.End})
	if err != nil {
		t.Fatal(err)
	}
	return server.Router()
}

// All links of the pages stay under the base path, and lead to something.
func TestBasePathOfLinks(t *testing.T) {
	t.Parallel()
	stored := openStores(t)
	stored.addEvent(t, event.Dead, event.Done)
	handler := serveUnder(t, basePath+"/", "", stored.deps())
	address := regexp.MustCompile(`(?:\b(?:href|src|action|formaction|sse-connect|hx-[a-z]+)=")(/[^"]*)"`)
	seen, queue := map[string]bool{}, []string{basePath + "/", basePath + "/events?limit=1", basePath + "/jobs", basePath + "/nothing"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] || strings.HasSuffix(path, "/stream") || strings.HasSuffix(path, "/metrics") { // has no end; is not part of the test
			continue
		}
		seen[path] = true
		response := ask(handler, "GET", path, withHeader("Accept", "text/html"))
		if response.StatusCode >= http.StatusInternalServerError {
			t.Errorf("E10 %s: status = %d, want no failure", path, response.StatusCode)
		}
		if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") || strings.Contains(path, "/debug/") {
			continue
		}
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range address.FindAllStringSubmatch(string(content), -1) {
			target := strings.ReplaceAll(found[1], "&amp;", "&")
			if !strings.HasPrefix(target, basePath+"/") {
				t.Errorf("E10 %s links to %s, want a path under %s", path, target, basePath)
				continue
			}
			queue = append(queue, target)
		}
	}
	if len(seen) < 20 {
		t.Errorf("E10 %d pages were seen, want at least 20: %v", len(seen), seen)
	}
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	handler := serveUnder(t, basePath, adminToken, openStores(t).deps())
	right := withHeader("Authorization", "Bearer "+adminToken)
	for _, row := range []struct {
		name, method, path string
		change             func(*http.Request)
		status             int
		location           string
	}{
		{name: "E10 kept by the proxy", method: "GET", path: basePath + "/api/v1/events", change: right, status: 200},
		{name: "E10 removed by the proxy", method: "GET", path: "/api/v1/events", change: right, status: 200},
		{name: "E10 without a slash", method: "GET", path: basePath, change: right, status: 200},
		{name: "E10 specification", method: "GET", path: basePath + "/openapi.yaml", change: right, status: 200},
		{name: "E10 longer segment", method: "GET", path: basePath + "s/api/v1/events", change: right, status: 404},
		{name: "E10 twice", method: "GET", path: basePath + basePath + "/events", change: right, status: 404},
		{name: "E10 encoded slash", method: "GET", path: basePath + "/assets/..%2fopenapi.yaml", change: right, status: 404},
		{name: "E10 other method", method: "DELETE", path: basePath + "/api/v1/events", change: right, status: 405},
		{name: "E10 redirect to the specification", method: "GET", path: basePath + "/api", change: right, status: 302, location: basePath + "/openapi.yaml"},
		{
			name: "E10 login", method: "GET", path: basePath + "/events?status=dead", change: withHeader("Accept", "text/html"),
			status: 303, location: basePath + "/login?next=%2Fevents%3Fstatus%3Ddead",
		},
		{
			name: "E10 action", method: "POST", path: basePath + "/quarantine/release", change: right,
			status: 303, location: basePath + "/?did=released&n=0",
		},
		{name: "E10 logout", method: "POST", path: "/logout", change: right, status: 303, location: basePath + "/login"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response := ask(handler, row.method, row.path, row.change)
			if got := response.Header.Get("Location"); response.StatusCode != row.status || got != row.location {
				t.Errorf("status = %d, location = %q; want %d, %q", response.StatusCode, got, row.status, row.location)
			}
			for _, cookie := range response.Cookies() {
				if cookie.Path != basePath+"/" {
					t.Errorf("path of the cookie = %q, want %q", cookie.Path, basePath+"/")
				}
			}
		})
	}
	answer := logIn(handler, adminToken, "/events")
	if got := answer.Header.Get("Location"); got != basePath+"/events" || len(answer.Cookies()) != 1 || answer.Cookies()[0].Path != basePath+"/" {
		t.Errorf("E10 login: location = %q, cookies = %v; want %s/events and one under the base path", got, answer.Cookies(), basePath)
	}
	ended := ask(handler, "GET", basePath+"/events", withHeader("HX-Request", "true"))
	if got := ended.Header.Get("HX-Redirect"); got != basePath+"/login" {
		t.Errorf("E10 ended session: HX-Redirect = %q, want %s/login", got, basePath)
	}
}

func TestBasePathIsValid(t *testing.T) {
	t.Parallel()
	for base, valid := range map[string]bool{
		"": true, "/": true, "/receiver": true, "/receiver/": true, "/a/b-c_d.e~f/1": true,
		"receiver": false, "//evil.example": false, "/a//b": false, "/a/../b": false, "/a b": false, "/a?b": false, "/ä": false, "/%61": false,
		"https://example.com/receiver": false, "/api": false, "/api/receiver": false, "/events": false, "/debug/x": false, "/login": false,
		"/" + strings.Repeat("a", 200): false,
	} {
		if err := (admin.Config{Addr: "127.0.0.1:0", BasePath: base}).Validate(); (err == nil) != valid {
			t.Errorf("E10 base path %q: error = %v, want valid = %t", base, err, valid)
		}
	}
}
