package admin_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/rs/zerolog"
)

const (
	adminToken = "admin-token-0123456789"
	// eventID is the id of the event that tests add.
	eventID = "019a0000-0000-7000-8000-000000000001"
)

// stores are real stores in a new folder, with stored files from memory.
type stores struct {
	*workflowtest.Stores
	inbox    *inbox.Inbox
	sessions *admin.SessionStore
	content  string // of every stored file
	opened   atomic.Int64
}

func openStores(t *testing.T) *stores {
	t.Helper()
	return openStoresAt(t, databasetest.NewPlace(t, database.SQLite))
}

func openStoresAt(t *testing.T, place *databasetest.Place) *stores {
	t.Helper()
	found := &stores{Stores: workflowtest.Open(t, place)}
	opened := place.Open(t)
	if _, err := inbox.Migrate(t.Context(), opened.Inbox); err != nil {
		t.Fatal(err)
	}
	var err error
	if found.inbox, err = inbox.Open(t.Context(), opened.Inbox, inbox.Config{MaxBacklog: 1000, MaxBatch: 10, MaxRejections: 10, MaxRejectionsBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = found.inbox.Close() })
	found.sessions = admin.NewSessionStore(found.Writer)
	return found
}

// OpenArtifact opens a stored file.
func (s *stores) OpenArtifact(context.Context, event.Artifact) (*blobstore.Object, error) {
	s.opened.Add(1)
	return &blobstore.Object{ReadCloser: io.NopCloser(strings.NewReader(s.content)), Bytes: int64(len(s.content))}, nil
}

func (s *stores) deps() admin.Deps {
	return admin.Deps{
		Log: zerolog.Nop(), Inbox: s.inbox, Workflow: s.Workflow, History: s.History, Jobs: s.Jobs, Sessions: s.sessions,
		BulkReplays: replay.NewStore(s.Writer), OpenArtifact: s.OpenArtifact, Disks: func() []admin.Disk { return nil },
	}
}

// addEvent adds eventID with one step for each state, named after it.
func (s *stores) addEvent(t *testing.T, states ...event.Status) {
	t.Helper()
	entry := workflowtest.Entry(1)
	entry.ID = eventID
	stages := make([][]string, len(states))
	for n, state := range states {
		stages[n] = []string{string(state)}
	}
	s.AddStages(t, stages, entry)
	for _, state := range states {
		s.exec(t, "UPDATE steps SET state = $1 WHERE handler = $1", string(state))
	}
}

func (s *stores) exec(t *testing.T, statement string, values ...any) {
	t.Helper()
	if _, err := s.Writer.Exec(t.Context(), statement, values...); err != nil {
		t.Fatal(err)
	}
}

// addArtifact adds a stored file to eventID.
func (s *stores) addArtifact(t *testing.T, a event.Artifact) {
	t.Helper()
	s.AddStages(t, [][]string{{"download"}}, func() event.Entry { e := workflowtest.Entry(1); e.ID = eventID; return e }())
	s.exec(t, `INSERT INTO artifacts (event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at)
		VALUES ($1, 'download', 0, '', $2, '', 1, $3, $4, $5, $6, 1)`, eventID, a.Key, a.SHA256, a.MediaType, a.Width, a.Height)
}

// router serves the admin listener over new stores.
func router(t *testing.T, token string) http.Handler {
	t.Helper()
	return serve(t, token, openStores(t).deps())
}

func serve(t *testing.T, token string, deps admin.Deps) http.Handler {
	t.Helper()
	listener, err := admin.New(admin.Config{Addr: "127.0.0.1:0", Token: secret.New(token)}, deps)
	if err != nil {
		t.Fatal(err)
	}
	server, err := httpserver.NewAdmin(limits(), "127.0.0.1:0", httpserver.AdminDeps{Log: zerolog.Nop(), Mount: listener.Mount, End: listener.End})
	if err != nil {
		t.Fatal(err)
	}
	return server.Router()
}

func limits() httpserver.Config {
	const second = 1_000_000_000
	return httpserver.Config{ReadHeaderTimeout: second, ReadTimeout: second, WriteTimeout: 2 * second, IdleTimeout: second, MaxHeaderBytes: 8 << 10, MaxConnections: 10}
}

// ask sends a request and returns the response.
func ask(handler http.Handler, method, target string, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, target, http.NoBody)
	r.Host, r.RemoteAddr = "127.0.0.1:8081", "127.0.0.1:50000"
	if change != nil {
		change(r)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	return recorder.Result()
}

// page returns the body of a page.
func page(t *testing.T, handler http.Handler, path string) string {
	t.Helper()
	response := ask(handler, http.MethodGet, path, nil)
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: status = %d, error %v, want 200: %s", path, response.StatusCode, err, content)
	}
	return string(content)
}

// withHeader sets a header of a request.
func withHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}
