package admin

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// chunkTimeout is how long a client may take to read a part of a file.
const chunkTimeout = 30 * time.Second

// isImage reports whether a browser may show a media type within a page: pixels only, no scripts as in SVG.
func isImage(mediaType string) bool {
	switch mediaType {
	case "image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp":
		return true
	default:
		return false
	}
}

// setUntrustedHeaders keeps browsers from running content that others wrote.
func setUntrustedHeaders(header http.Header) {
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
}

// showArtifact answers GET /api/v1/events/{id}/artifacts/{n}.
func (a *Admin) showArtifact(w http.ResponseWriter, r *http.Request) {
	artifact, err := a.artifact(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	object, err := a.deps.OpenArtifact(r.Context(), artifact.Artifact)
	if err != nil {
		problem.Write(w, r, openFailure(err))
		return
	}
	defer func() { _ = object.Close() }()
	header := w.Header()
	setUntrustedHeaders(header)
	disposition := "attachment"
	header.Set("Content-Type", "application/octet-stream")
	if isImage(artifact.MediaType) {
		header.Set("Content-Type", artifact.MediaType)
		if r.URL.Query().Get("download") == "" {
			disposition = "inline"
		}
	}
	header.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": path.Base(artifact.Key)}))
	header.Set("Content-Length", strconv.FormatInt(object.Bytes, 10))
	header.Set("Cache-Control", "private, max-age=3600") // stored files never change
	header.Set("Etag", `"`+artifact.SHA256+`"`)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(deadlineWriter{w, http.NewResponseController(w)}, object); err != nil {
		panic(http.ErrAbortHandler) // so that the client notices that the file is incomplete
	}
}

// artifact loads the artifact in the path of a request.
func (a *Admin) artifact(r *http.Request) (Artifact, error) {
	id, err := eventID(r)
	if err != nil {
		return Artifact{}, err
	}
	number, err := strconv.Atoi(chi.URLParam(r, "n"))
	if err != nil {
		return Artifact{}, artifactNotFound()
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	details, err := a.deps.History.Load(ctx, id)
	if err != nil {
		return Artifact{}, storeFailure(err)
	}
	if number < 0 || number >= len(details.Artifacts) {
		return Artifact{}, artifactNotFound()
	}
	return Artifact{Number: number, Artifact: details.Artifacts[number]}, nil
}

func artifactNotFound() error {
	return &problem.Error{Code: problem.CodeNotFound, Detail: "Artifact not found."}
}

func openFailure(err error) error {
	if errors.Is(err, blobstore.ErrNotFound) {
		return &problem.Error{Code: problem.CodeNotFound, Detail: "The file was deleted, or its handler is not configured.", Err: err}
	}
	return problem.Unavailable("The file cannot be read now. The server log has the cause under the request id.", err)
}

// deadlineWriter writes a response of any length: each part has a deadline, the whole has none.
type deadlineWriter struct {
	http.ResponseWriter
	connection *http.ResponseController
}

// Write sends a part.
func (p deadlineWriter) Write(part []byte) (int, error) {
	extendDeadline(p.connection, chunkTimeout)
	return p.ResponseWriter.Write(part)
}

// extendDeadline sets the deadline for writes, and removes its read deadline: its expiry would cancel the
// request. A writer without deadlines, as in tests, needs none.
func extendDeadline(connection *http.ResponseController, timeout time.Duration) {
	_ = connection.SetReadDeadline(time.Time{})
	_ = connection.SetWriteDeadline(time.Now().Add(timeout))
}
