package httpserver_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
)

func TestSurface(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(accept))
	rows := []struct {
		name, method, path string
		status             int
		allow, body        string
	}{
		{"live", "GET", "/livez", 200, "", `{"status":"ok"}` + "\n"},
		{"healthy", "GET", "/healthz", 200, "", `{"status":"ok"}` + "\n"},
		{"ready without checks", "GET", "/readyz", 200, "", `{"status":"ready","checks":{}}` + "\n"},
		{"head of live", "HEAD", "/livez", 200, "", ""},
		{"head of healthy", "HEAD", "/healthz", 200, "", ""},
		{"head of ready", "HEAD", "/readyz", 200, "", ""},
		{"webhook, token in the path", "POST", "/webhooks/deep-image/some-token", 200, "", ""},
		{"webhook, encoded slash in the token", "POST", "/webhooks/deep-image/a%2Fb", 200, "", ""},
		{"webhook, token elsewhere", "POST", "/webhooks/deep-image", 200, "", ""},
		{"root", "GET", "/", 404, "", ""},
		{"A4 webhook, trailing slash", "POST", "/webhooks/deep-image/", 200, "", ""},
		{"A4 webhook, doubled slash", "POST", "//webhooks/deep-image", 200, "", ""},
		{"A4 webhook, token and trailing slash", "POST", "/webhooks/deep-image/some-token/", 200, "", ""},
		{"A4 webhook, token and doubled slashes", "POST", "/webhooks//deep-image///some-token//", 200, "", ""},
		{"A4 webhook, encoded token and slash", "POST", "//webhooks/deep-image/a%2Fb/", 200, "", ""},
		{"A4 get a webhook, trailing slash", "GET", "/webhooks/deep-image/some-token/", 405, "POST", ""},
		{"A4 health, trailing slash", "GET", "/livez/", 404, "", ""},
		{"webhook with one segment more", "POST", "/webhooks/deep-image/token/more", 404, "", ""},
		{"other case", "POST", "/Webhooks/deep-image", 404, "", ""},
		{"head of nothing", "HEAD", "/nothing", 404, "", ""},
		{"unknown method of nothing", "BREW", "/nothing", 404, "", ""},
		{"get a webhook", "GET", "/webhooks/deep-image/some-token", 405, "POST", ""},
		{"head a webhook", "HEAD", "/webhooks/deep-image", 405, "POST", ""},
		{"options of a webhook", "OPTIONS", "/webhooks/deep-image", 405, "POST", ""},
		{"put a webhook", "PUT", "/webhooks/deep-image", 405, "POST", ""},
		{"unknown method of a webhook", "BREW", "/webhooks/deep-image/a%2Fb", 405, "POST", ""},
		{"post to live", "POST", "/livez", 405, "GET, HEAD", ""},
		{"post to healthy", "POST", "/healthz", 405, "GET, HEAD", ""},
		{"delete ready", "DELETE", "/readyz", 405, "GET, HEAD", ""},
		{"trace ready", "TRACE", "/readyz", 405, "GET, HEAD", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response, body := server.do(t, row.method, row.path, "", nil)
			if response.StatusCode != row.status || response.Header.Get("Allow") != row.allow {
				t.Errorf("status, Allow = %d, %q, want %d, %q: %s", response.StatusCode, response.Header.Get("Allow"), row.status, row.allow, body)
			}
			if row.body != "" && body != row.body {
				t.Errorf("body = %q, want %q", body, row.body)
			}
			if response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers = %v, want nosniff and no-store", response.Header)
			}
		})
	}
}

// TestRoutesAreThoseOfTheSpecification compares routes and specification both ways.
func TestRoutesAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	server, err := httpserver.New(config(), httpserver.Deps{Log: zerolog.Nop(), Webhook: http.HandlerFunc(accept)})
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	err = chi.Walk(server.Router(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method != http.MethodHead { // comes with GET
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
			if !slices.Contains(operation.Tags, "admin") { // those are compared in package admin
				specified[method+" "+path] = true
			}
		}
	}
	if !maps.Equal(served, specified) {
		t.Errorf("routes =\n\t%s\nwant those of the specification:\n\t%s", list(served), list(specified))
	}
}

func list(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), "\n\t")
}

func TestRequestIDIsAlwaysOurs(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(accept))
	first, _ := server.do(t, "GET", "/livez", "", http.Header{"X-Request-Id": {"forged"}})
	second, _ := server.do(t, "GET", "/livez", "", nil)
	one, two := first.Header.Get("X-Request-Id"), second.Header.Get("X-Request-Id")
	if one == "forged" || one == "" || one == two {
		t.Errorf("request ids = %q, %q, want two different ones of the server", one, two)
	}
}
