package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/thumbnail"
)

// thumbnailTimeout bounds the wait for other thumbnails, and the making of this one.
const thumbnailTimeout = 20 * time.Second

// hasThumbnail reports whether a page shows a thumbnail of an artifact.
func (a *Admin) hasThumbnail(of Artifact) bool {
	return a.deps.Thumbnails != nil && a.deps.Thumbnails.Possible(of.SHA256, of.MediaType, of.Width, of.Height)
}

// showThumbnail answers GET /events/{id}/artifacts/{n}/thumbnail.
func (a *Admin) showThumbnail(w http.ResponseWriter, r *http.Request) {
	artifact, err := a.artifact(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	var content []byte
	var mediaType string
	if err = thumbnail.ErrUnfit; a.hasThumbnail(artifact) {
		content, mediaType, err = a.deps.Thumbnails.Get(r.Context(), artifact.SHA256, func(ctx context.Context) (io.ReadCloser, error) {
			return a.deps.OpenArtifact(ctx, artifact.Artifact)
		})
	}
	switch {
	case errors.Is(err, thumbnail.ErrUnfit):
		problem.Write(w, r, &problem.Error{Code: problem.CodeNotFound, Detail: "The file has no thumbnail.", Err: err})
		return
	case err != nil:
		problem.Write(w, r, openFailure(err))
		return
	}
	setUntrustedHeaders(w.Header())
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("Cache-Control", "private, max-age=86400")
	_, _ = w.Write(content) // the client may have disconnected
}
