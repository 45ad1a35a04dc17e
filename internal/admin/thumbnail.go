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

// Thumbnails makes small pictures; thumbnail.ErrUnfit when there can be none.
type Thumbnails interface {
	// Possible says whether there can be one, by what is known without reading the file. It is cheap.
	Possible(sum, mediaType string, width, height int) bool
	Get(ctx context.Context, sum string, open thumbnail.Open) (content []byte, mediaType string, err error)
}

// thumbnailTimeout bounds the wait for others whose thumbnails are made, and the making.
const thumbnailTimeout = 20 * time.Second

// hasThumbnail says whether a page has a place for the thumbnail of an artifact.
func (a *Admin) hasThumbnail(of Artifact) bool {
	return a.deps.Thumbnails.Possible(of.SHA256, of.MediaType, of.Width, of.Height)
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
			return a.deps.Artifacts.Open(ctx, artifact.stored)
		})
	}
	switch {
	case errors.Is(err, thumbnail.ErrUnfit):
		problem.Write(w, r, &problem.Error{Code: problem.CodeNotFound, Detail: "The file has no thumbnail.", Err: err})
		return
	case err != nil:
		problem.Write(w, r, storeFailure(openFailure(err)))
		return
	}
	setUntrustedHeaders(w.Header())
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("Cache-Control", "private, max-age=86400")
	_, _ = w.Write(content) // a client that is gone needs no answer
}
