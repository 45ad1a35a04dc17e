package download

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// manifestIndex is the index of the manifest among an event's artifacts.
const manifestIndex = -1

// manifest is the content of event.json. It does not depend on when or how often it is written: an attempt after a
// crash makes the same bytes.
type manifest struct {
	Event event.ID `json:"event"`
	Job   string   `json:"job"`
	event.Names
	Received  time.Time       `json:"received"`
	Artifacts []stored        `json:"artifacts"`
	Payload   json.RawMessage `json:"payload"` // redacted
}

// stored is an image in the manifest. Its key is that in the bucket of the manifest.
type stored struct {
	Source    string `json:"source"` // redacted
	Key       string `json:"key"`
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"`
	MediaType string `json:"media_type"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
}

// manifest stores the manifest of an event whose images are all stored: now by this attempt, or before.
func (h *Handler) manifest(ctx context.Context, e event.Event, now []event.Artifact) (event.Artifact, error) {
	payload, err := h.redact(e.Body)
	if err != nil {
		return event.Artifact{}, handler.Fail(event.ReasonOther, fmt.Errorf("redact the payload for the manifest: %w", err))
	}
	spool, err := h.bucket.Spool(ctx)
	if err != nil {
		return event.Artifact{}, storeFailure(err)
	}
	defer func() { _ = spool.Close() }() // leftover files are removed at the next start
	written := manifest{Event: e.ID, Job: e.Job, Names: e.Names, Received: e.Received.UTC(), Artifacts: inOrder(e.Artifacts, now), Payload: payload}
	if err := written.encode(spool); err != nil {
		return event.Artifact{}, storeFailure(err)
	}
	folder := e.Received.UTC().Format(time.DateOnly) + "/" + safe(e.Job, maxJobBytes, "job") + "/"
	own := folder + "event-" + safe(string(e.ID), maxEventBytes, "event") + ".json"
	artifact, err := h.put(ctx, spool, "application/json", folder+"event.json", own, withHash(own, spool.SHA256()))
	artifact.Index = manifestIndex
	return artifact, err
}

// maxIndented is the length of the longest payload that is indented, because that can make it 64 times as long.
const maxIndented = 64 << 10

func (m manifest) encode(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if len(m.Payload) <= maxIndented {
		encoder.SetIndent("", "  ")
	}
	return encoder.Encode(m)
}

// inOrder returns the images in the order of the event's results.
func inOrder(before, now []event.Artifact) []stored {
	all := slices.DeleteFunc(slices.Concat(before, now), func(a event.Artifact) bool {
		return a.Handler != Name || a.Index == manifestIndex
	})
	slices.SortFunc(all, func(a, b event.Artifact) int { return a.Index - b.Index })
	listed := make([]stored, 0, len(all))
	for _, a := range all {
		listed = append(listed, stored{a.Source, a.Key, a.Bytes, a.SHA256, a.MediaType, a.Width, a.Height})
	}
	return listed
}
