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
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// chunkTimeout is how long a client may take for a part of a file.
const chunkTimeout = 30 * time.Second

// isPicture says whether a browser may show what has this media type within a page: pixels
// and nothing that can be run, as an SVG could.
func isPicture(mediaType string) bool {
	switch mediaType {
	case "image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp":
		return true
	default:
		return false
	}
}

// harmless makes an answer that somebody else wrote one that no browser runs.
func harmless(header http.Header) {
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
	object, err := a.deps.Artifacts.Open(r.Context(), artifact.stored)
	if err != nil {
		problem.Write(w, r, openFailure(err))
		return
	}
	defer func() { _ = object.Close() }()
	header := w.Header()
	harmless(header)
	disposition := "attachment"
	header.Set("Content-Type", "application/octet-stream")
	if isPicture(artifact.MediaType) {
		header.Set("Content-Type", artifact.MediaType)
		if r.URL.Query().Get("download") == "" {
			disposition = "inline"
		}
	}
	header.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": path.Base(artifact.Key)}))
	header.Set("Content-Length", strconv.FormatInt(object.Bytes, 10))
	header.Set("Cache-Control", "private, max-age=3600") // what is stored never changes
	header.Set("Etag", `"`+artifact.SHA256+`"`)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(patient{w, http.NewResponseController(w)}, object); err != nil {
		panic(http.ErrAbortHandler) // the client sees that it does not have the whole
	}
}

// artifact finds the artifact that the path of a request names.
func (a *Admin) artifact(r *http.Request) (Artifact, error) {
	id, n := chi.URLParam(r, "id"), chi.URLParam(r, "n")
	number, err := strconv.Atoi(n)
	if !isID(id) || err != nil {
		return Artifact{}, noEvent()
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	found, err := a.deps.Events.Load(ctx, event.ID(id))
	if err != nil {
		return Artifact{}, storeFailure(err)
	}
	if number < 0 || number >= len(found.Artifacts) {
		return Artifact{}, &problem.Error{Code: problem.CodeNotFound, Detail: "The event has no such artifact."}
	}
	return found.Artifacts[number], nil
}

func openFailure(err error) error {
	if errors.Is(err, blobstore.ErrNotFound) {
		return &problem.Error{Code: problem.CodeNotFound, Detail: "The file is not where it was stored, or its handler is not enabled.", Err: err}
	}
	return err
}

// patient writes an answer of any length: not the whole has a deadline, but each part.
type patient struct {
	http.ResponseWriter
	connection *http.ResponseController
}

// Write sends a part.
func (p patient) Write(part []byte) (int, error) {
	extend(p.connection, chunkTimeout)
	return p.ResponseWriter.Write(part)
}

// extend gives a connection so much time from now on. Without an end to its reading, the server would take the
// request for given up. A writer without deadlines, as in tests, needs none.
func extend(connection *http.ResponseController, timeout time.Duration) {
	_ = connection.SetReadDeadline(time.Time{})
	_ = connection.SetWriteDeadline(time.Now().Add(timeout))
}
