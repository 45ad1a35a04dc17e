package admin_test

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// shelf holds one event with one file, whatever is asked for.
type shelf struct {
	admin.Events
	artifact event.Artifact
	content  string
}

func (s shelf) Load(context.Context, event.ID) (admin.Event, error) {
	return admin.Event{Artifacts: admin.Stored([]event.Artifact{s.artifact})}, nil
}

func (s shelf) Open(context.Context, event.Artifact) (*blobstore.Object, error) {
	return &blobstore.Object{ReadCloser: io.NopCloser(bytes.NewReader([]byte(s.content))), Bytes: int64(len(s.content))}, nil
}

// Whatever a stored file is or says it is, no browser runs it within our pages.
func TestFilesCannotRun(t *testing.T) {
	t.Parallel()
	const script = `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>`
	rows := []struct {
		name, mediaType, key, contentType, disposition string
	}{
		{"picture", "image/png", "a/b.png", "image/png", "inline"},
		{"script that says it is a picture", "image/jpeg", "a/b.html", "image/jpeg", "inline"},
		{"SVG", "image/svg+xml", "a/b.svg", "application/octet-stream", "attachment"},
		{"HTML", "text/html", "a/b.html", "application/octet-stream", "attachment"},
		{"XML", "application/xhtml+xml", "a/b.xml", "application/octet-stream", "attachment"},
		{"nothing known", "", "a/b", "application/octet-stream", "attachment"},
		{"name with quotes and lines", "text/plain", "a/\"\r\nX-Evil: 1", "application/octet-stream", "attachment"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			held := shelf{artifact: event.Artifact{Key: row.key, MediaType: row.mediaType, SHA256: "00"}, content: script}
			door := doorTo(t, admin.Config{Addr: "127.0.0.1:0"}, admin.Deps{Targets: noTargets{}, Quarantine: noQuarantine{}, Events: held, Artifacts: held})
			answer := ask(door, "GET", "/api/v1/events/00000000-0000-7000-8000-000000000000/artifacts/0", nil)
			header := answer.Header
			disposition, _, err := mime.ParseMediaType(header.Get("Content-Disposition"))
			if answer.StatusCode != http.StatusOK || err != nil || disposition != row.disposition || header.Get("Content-Type") != row.contentType {
				t.Errorf("answered %d, %v, %v", answer.StatusCode, header, err)
			}
			policy := header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "sandbox; default-src 'none'") || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("X-Evil") != "" ||
				header.Get("X-Frame-Options") != "DENY" || header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("headers %v", header)
			}
		})
	}
}

// Everything that is vendored is named with its version and has its licence beside it.
func TestVendoredFilesHaveTheirLicence(t *testing.T) {
	t.Parallel()
	handler := router(t, adminToken)
	text, err := io.ReadAll(ask(handler, "GET", "/assets/LICENSES.txt", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(ask(handler, "GET", "/login", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	for file, heading := range map[string]string{
		"htmx-2.0.11.min.js": "== htmx.org 2.0.11\n", "htmx-sse-2.2.4.min.js": "== htmx-ext-sse 2.2.4\n", "modern-normalize-3.0.1.css": "== modern-normalize 3.0.1\n",
	} {
		if !strings.Contains(string(text), heading) || !strings.Contains(string(page), "/assets/"+file+"?v=") {
			t.Errorf("%s: no %q, or it is not what pages use", file, heading)
		}
	}
	for line := range strings.Lines(string(page)) {
		if strings.Contains(line, "<script src=") && !strings.Contains(line, "/assets/htmx-") && !strings.Contains(line, "/assets/app.js") {
			t.Errorf("a script of unknown origin: %s", line)
		}
	}
}
