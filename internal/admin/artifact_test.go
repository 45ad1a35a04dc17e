package admin_test

import (
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// No browser runs a stored file as a page, whatever its content and its media type.
func TestStoredFilesCannotRun(t *testing.T) {
	t.Parallel()
	const script = `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>`
	rows := []struct {
		name, mediaType, key, contentType, disposition string
	}{
		{name: "image", mediaType: "image/png", key: "a/b.png", contentType: "image/png", disposition: "inline"},
		{name: "script that says it is a picture", mediaType: "image/jpeg", key: "a/b.html", contentType: "image/jpeg", disposition: "inline"},
		{name: "SVG", mediaType: "image/svg+xml", key: "a/b.svg", contentType: "application/octet-stream", disposition: "attachment"},
		{name: "HTML", mediaType: "text/html", key: "a/b.html", contentType: "application/octet-stream", disposition: "attachment"},
		{name: "XML", mediaType: "application/xhtml+xml", key: "a/b.xml", contentType: "application/octet-stream", disposition: "attachment"},
		{name: "nothing known", mediaType: "", key: "a/b", contentType: "application/octet-stream", disposition: "attachment"},
		{name: "name with quotes and lines", mediaType: "text/plain", key: "a/\"\r\nX-Evil: 1", contentType: "application/octet-stream", disposition: "attachment"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			held := openStores(t)
			held.content = script
			held.addArtifact(t, event.Artifact{Key: row.key, MediaType: row.mediaType, SHA256: "00"})
			answer := ask(serve(t, "", held.deps()), "GET", "/api/v1/events/"+eventID+"/artifacts/0", nil)
			header := answer.Header
			disposition, _, err := mime.ParseMediaType(header.Get("Content-Disposition"))
			if answer.StatusCode != http.StatusOK || err != nil || disposition != row.disposition || header.Get("Content-Type") != row.contentType {
				t.Errorf("status = %d, headers = %v, error %v; want 200, %s and %s", answer.StatusCode, header, err, row.contentType, row.disposition)
			}
			policy := header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "sandbox; default-src 'none'") || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("X-Evil") != "" ||
				header.Get("X-Frame-Options") != "DENY" || header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("headers = %v, want a sandbox", header)
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
			t.Errorf("%s: the licences have no %q or pages do not load it, want both", file, heading)
		}
	}
	for line := range strings.Lines(string(page)) {
		if strings.Contains(line, "<script src=") && !strings.Contains(line, "/assets/htmx-") && !strings.Contains(line, "/assets/app.js") {
			t.Errorf("script = %s, want a known one", line)
		}
	}
}
