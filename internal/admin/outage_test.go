package admin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// Without its database every page, route and action answers 503 with a request id.
func TestDatabaseIsAway(t *testing.T) {
	t.Parallel()
	databasetest.NeedPostgres(t)
	server, err := databasetest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	stored := openStoresAt(t, &databasetest.Place{Kind: database.Postgres, Config: databasetest.ConfigOf(server.URL("postgres"))})
	open, locked := serve(t, "", stored.deps()), serve(t, adminToken, stored.deps())
	session := logIn(locked, adminToken, "/").Cookies()[0]
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	document := apitest.Load(t)
	for _, row := range []struct {
		name, method, path string
		page, session      bool
	}{
		{name: "E11 overview", method: "GET", path: "/", page: true},
		{name: "E11 list", method: "GET", path: "/events", page: true},
		{name: "E11 event page", method: "GET", path: "/events/" + eventID, page: true},
		{name: "E11 jobs page", method: "GET", path: "/jobs", page: true},
		{name: "E11 rejected page", method: "GET", path: "/rejected", page: true},
		{name: "E11 bulk replay page", method: "GET", path: "/replays", page: true},
		{name: "E11 button", method: "POST", path: "/events/" + eventID + "/replay", page: true},
		{name: "E11 target button", method: "POST", path: "/targets/download/enable", page: true},
		{name: "E11 session", method: "GET", path: "/", page: true, session: true},
		{name: "E11 events", method: "GET", path: "/api/v1/events"},
		{name: "E11 event", method: "GET", path: "/api/v1/events/" + eventID},
		{name: "E11 body", method: "GET", path: "/api/v1/events/" + eventID + "/body"},
		{name: "E11 artifact", method: "GET", path: "/api/v1/events/" + eventID + "/artifacts/0"},
		{name: "E11 thumbnail", method: "GET", path: "/events/" + eventID + "/artifacts/0/thumbnail"},
		{name: "E11 jobs", method: "GET", path: "/api/v1/jobs"},
		{name: "E11 job", method: "GET", path: "/api/v1/jobs/a"},
		{name: "E11 statistics", method: "GET", path: "/api/v1/stats"},
		{name: "E11 rejections", method: "GET", path: "/api/v1/rejections"},
		{name: "E11 rejected body", method: "GET", path: "/api/v1/rejections/1/body"},
		{name: "E11 targets", method: "GET", path: "/api/v1/targets"},
		{name: "E11 replay", method: "POST", path: "/api/v1/events/" + eventID + "/replay"},
		{name: "E11 bulk replay", method: "POST", path: "/api/v1/replays"},
		{name: "E11 release", method: "POST", path: "/api/v1/events/" + eventID + "/release"},
		{name: "E11 release of all", method: "POST", path: "/api/v1/quarantine/release"},
		{name: "D4 purge", method: "POST", path: "/api/v1/quarantine/purge"},
		{name: "E11 rejection", method: "POST", path: "/api/v1/rejections/1/delete"},
		{name: "E11 target", method: "POST", path: "/api/v1/targets/download/disable"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			handler, change := open, withHeader("Accept", "*/*")
			if row.page {
				change = withHeader("Accept", "text/html")
			}
			if row.session {
				handler, change = locked, func(r *http.Request) {
					r.AddCookie(session)
					r.Header.Set("Accept", "text/html")
				}
			}
			response := ask(handler, row.method, row.path, change)
			if !row.page && strings.HasPrefix(row.path, "/api/") {
				if err := document.Validate(row.method, row.path, response); err != nil {
					t.Error(err)
				}
			}
			content, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusServiceUnavailable {
				t.Fatalf("status = %d, error %v; want 503: %s", response.StatusCode, err, content)
			}
			if row.page {
				if text := string(content); !strings.Contains(text, string(problem.CodeUnavailable)) || !strings.Contains(text, "data-request-id") {
					t.Errorf("page = %s, want the problem unavailable with a request id", text)
				}
				return
			}
			var details problem.Details
			if err := json.Unmarshal(content, &details); err != nil || details.Type != problem.TypePrefix+string(problem.CodeUnavailable) || details.RequestID == "" {
				t.Errorf("problem = %s, error %v; want unavailable with a request id", content, err)
			}
		})
	}
}
