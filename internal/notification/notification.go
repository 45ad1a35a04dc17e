// Package notification is the JSON document of an event that handlers send to other systems.
package notification

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Event is the document. It contains no secret: URLs have no signed query, the data no webhook URL, token or long inline
// image. The same event with the same artifacts makes the same bytes. Lists are never null. Fields are added, but never
// renamed or removed.
type Event struct {
	ID  event.ID `json:"id"`
	Job string   `json:"job"`
	event.Names
	ReceivedAt time.Time `json:"received_at"` // RFC 3339, UTC, up to microseconds

	// ResultURLs are the redacted URLs of the images, in the order of event.Event.Images, which Artifact.Index refers to.
	// A result_url that is not one of them, such as storage://bucket/path, comes last.
	ResultURLs []string `json:"result_urls"`

	Data      json.RawMessage `json:"data"` // the request as echoed by the callback, redacted; null if missing
	Artifacts []Artifact      `json:"artifacts"`
}

// Artifact is a stored image. The manifest of the download handler is not listed: it repeats the document.
type Artifact struct {
	Handler   string `json:"handler"`        // that stored it
	Index     int    `json:"index"`          // position among the event's results, from 0
	Key       string `json:"key"`            // in the bucket
	URL       string `json:"url"`            // in the bucket, such as s3://bucket/key
	Link      string `json:"link,omitempty"` // signed URL of the image, valid for a limited time
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"` // 64 lower-case hexadecimal digits
	MediaType string `json:"media_type"`
	Width     int    `json:"width"`  // pixels
	Height    int    `json:"height"` // pixels
}

// New returns the document of an event. Link is empty: a sender that has a signed URL sets it. redact redacts the data, as
// handler.Deps.Redact does; New returns its error. Data that is not JSON becomes an event.NotJSON.
func New(e event.Event, redact func(body []byte) ([]byte, error)) (Event, error) {
	made := Event{
		ID: e.ID, Job: e.Job, Names: e.Names, ReceivedAt: e.Received.UTC(),
		ResultURLs: resultURLs(e), Data: json.RawMessage("null"), Artifacts: artifacts(e),
	}
	if len(e.Data) == 0 {
		return made, nil
	}
	data, err := redact(e.Data)
	if _, ok := errors.AsType[*event.MalformedError](err); ok { // it is opaque: the receiver accepts it as it is
		data, err = event.NotJSON(len(e.Data)), nil
	}
	if err != nil {
		return Event{}, fmt.Errorf("notification: redact the data: %w", err)
	}
	made.Data = data
	return made, nil
}

func resultURLs(e event.Event) []string {
	images, _ := e.Images()
	addresses := make([]string, 0, len(images)+1)
	for _, image := range images {
		addresses = append(addresses, event.RedactURL(image.URL))
	}
	if e.ResultURL != "" && (len(images) == 0 || images[0].URL != e.ResultURL) {
		addresses = append(addresses, event.RedactURL(e.ResultURL))
	}
	return addresses
}

// artifacts returns the images in the order of the results.
func artifacts(e event.Event) []Artifact {
	listed := make([]Artifact, 0, len(e.Artifacts))
	for _, a := range e.Artifacts {
		if a.Index < 0 {
			continue
		}
		listed = append(listed, Artifact{
			Handler: a.Handler, Index: a.Index, Key: a.Key, URL: a.URL,
			Bytes: a.Bytes, SHA256: a.SHA256, MediaType: a.MediaType, Width: a.Width, Height: a.Height,
		})
	}
	slices.SortStableFunc(listed, func(a, b Artifact) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Handler, b.Handler))
	})
	return listed
}
