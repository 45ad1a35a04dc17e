// Package notification is the JSON document in which other systems are told of an
// event: the one shape that every handler sends which tells of one.
package notification

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Event is the document. It is fit to leave the house: addresses have no signed
// query, the data no webhook URL, token or long inline image. Nothing in it depends
// on when or how often it is made, so the same event with the same artifacts gives
// the same bytes. Lists are never null. Names are only ever added to it.
type Event struct {
	ID         event.ID  `json:"id"`
	Job        string    `json:"job"`
	ReceivedAt time.Time `json:"received_at"` // RFC 3339, UTC, up to microseconds

	// ResultURLs are the addresses under which the event offers images, redacted, in
	// the order of event.Event.Images: Artifact.Index counts in them. A result_url that
	// is none of these, such as storage://bucket/path, comes last.
	ResultURLs []string `json:"result_urls"`

	Data      json.RawMessage `json:"data"` // the request as the callback echoes it, redacted; null when missing
	Artifacts []Artifact      `json:"artifacts"`
}

// Artifact is an image that is stored. The manifest of the download handler is not
// listed: it is no image, and says nothing that the document does not say.
type Artifact struct {
	Handler   string `json:"handler"`        // that stored it
	Index     int    `json:"index"`          // position among the event's results, from 0
	Key       string `json:"key"`            // in the bucket
	URL       string `json:"url"`            // where the bucket holds it, such as s3://bucket/key
	Link      string `json:"link,omitempty"` // signed address that gives the image for a while
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"` // 64 lower-case hexadecimal digits
	MediaType string `json:"media_type"`
	Width     int    `json:"width"`  // pixels
	Height    int    `json:"height"` // pixels
}

// Of makes the document of an event. Link stays empty: a sender that can give
// away a signed address sets it. redact makes data fit to be shown, as
// handler.Deps.Redact does; its error is the only one there is.
func Of(e event.Event, redact func(body []byte) ([]byte, error)) (Event, error) {
	made := Event{
		ID: e.ID, Job: e.Job, ReceivedAt: e.Received.UTC(),
		ResultURLs: resultURLs(e), Data: json.RawMessage("null"), Artifacts: artifacts(e),
	}
	if len(e.Data) == 0 {
		return made, nil
	}
	data, err := redact(e.Data)
	if err != nil {
		return Event{}, fmt.Errorf("notification: the data of the event cannot be redacted: %w", err)
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

// artifacts are in the order of the results, whatever the order in which they were stored.
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
