package admin

import (
	"encoding/json"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Summary is an event as a list shows it.
type Summary struct {
	ID       event.ID     `json:"id"`
	Job      string       `json:"job"`
	Status   event.Status `json:"status"`
	Received time.Time    `json:"received_at"`
	Bytes    int64        `json:"bytes"` // length of the body

	// Of the step that needs a person most, if one failed.
	Handler string       `json:"handler,omitempty"`
	Reason  event.Reason `json:"reason,omitempty"`
	Detail  string       `json:"detail,omitempty"`

	Images int  `json:"images"`          // stored
	First  *int `json:"first,omitempty"` // number of the first image among the artifacts
}

// Event is everything that is known of one event.
type Event struct {
	ID        event.ID     `json:"id"`
	Job       string       `json:"job"`
	Status    event.Status `json:"status"`
	Received  time.Time    `json:"received_at"`
	Bytes     int64        `json:"bytes"`
	Origin    event.Origin `json:"origin,omitempty"`      // callback, or reconciled
	Source    string       `json:"source,omitempty"`      // who told us of it
	Verified  *time.Time   `json:"verified_at,omitempty"` // when Deep Image confirmed it
	ResultURL string       `json:"result_url,omitempty"`  // its own address of the result, redacted
	Steps     []Step       `json:"steps"`
	Artifacts []Artifact   `json:"artifacts"`
	// Payload is the body, redacted; null when it cannot be shown.
	Payload json.RawMessage `json:"payload"`
}

// Step is one handler's part of an event.
type Step struct {
	Handler  string       `json:"handler"`
	Status   event.Status `json:"status"`
	Reason   event.Reason `json:"reason,omitempty"`
	Detail   string       `json:"detail,omitempty"`
	Tries    int          `json:"tries"` // that count against the cap
	Changed  time.Time    `json:"changed_at"`
	Next     *time.Time   `json:"next_at,omitempty"` // when it is tried again
	Attempts []Attempt    `json:"attempts"`
}

// IsShownByAttempt reports whether the only attempt has the reason and detail of the step.
func (s Step) IsShownByAttempt() bool {
	return len(s.Attempts) == 1 && s.Attempts[0].Reason == s.Reason && s.Attempts[0].Detail == s.Detail
}

// Attempt is one run of a step.
type Attempt struct {
	Number   int          `json:"number"`
	Started  time.Time    `json:"started_at"`
	Finished *time.Time   `json:"finished_at,omitempty"` // none while it runs, or when the process died in it
	Outcome  event.Status `json:"outcome"`
	Reason   event.Reason `json:"reason,omitempty"`
	Detail   string       `json:"detail,omitempty"`
}

// Artifact is a file that a handler stored.
type Artifact struct {
	Number    int       `json:"number"` // by which the file can be fetched
	Handler   string    `json:"handler"`
	Position  int       `json:"position"` // among the results of the event, from 0; -1 for the manifest
	Source    string    `json:"source,omitempty"`
	Key       string    `json:"key"`
	URL       string    `json:"url"`
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"sha256"`
	MediaType string    `json:"media_type"`
	Width     int       `json:"width"`
	Height    int       `json:"height"`
	Stored    time.Time `json:"stored_at"`

	stored event.Artifact
}

// Stored makes Artifacts of what a store holds, in its order.
func Stored(list []event.Artifact) []Artifact {
	artifacts := make([]Artifact, 0, len(list))
	for n, a := range list {
		artifacts = append(artifacts, Artifact{
			Number: n, Handler: a.Handler, Position: a.Index, Source: a.Source, Key: a.Key, URL: a.URL, Bytes: a.Bytes,
			SHA256: a.SHA256, MediaType: a.MediaType, Width: a.Width, Height: a.Height, Stored: a.Stored, stored: a,
		})
	}
	return artifacts
}

// Stats are counts for an overview. Taken says when they were made.
type Stats struct {
	Taken  time.Time              `json:"taken_at"`
	Events map[event.Status]int64 `json:"events"`
	// Handlers are the configured steps in their order, then those that only the store knows.
	Handlers []HandlerStats `json:"handlers"`
	Backlog  int64          `json:"backlog"` // accepted and not in the work store yet
	// Oldest is when the oldest event was received of which a step is pending, running or retrying.
	Oldest   *time.Time    `json:"oldest_pending_at"`
	Age      float64       `json:"oldest_pending_seconds"` // 0 if there is none
	Rejected RejectedStats `json:"rejected"`
	// Rates are events received per bucket, oldest first, without those that had none.
	Bucket float64  `json:"bucket_seconds"`
	Rates  []Bucket `json:"rates"`
	Disks  []Disk   `json:"disks"`
	Replay Progress `json:"replay"`
}

// HandlerStats are counts of the steps of one name.
type HandlerStats struct {
	Name       string `json:"name"`
	Configured bool   `json:"configured"`
	Enabled    bool   `json:"enabled"`
	Pending    int    `json:"pending"`
	Running    int    `json:"running"`
	Retrying   int    `json:"retrying"`
	Dead       int    `json:"dead"`
	Deferred   int    `json:"deferred"` // included in retrying
	// Next is when the first of those that are parked is tried again; none if none is, or if it is disabled.
	Next     *time.Time `json:"next_at,omitempty"`
	Disabled *time.Time `json:"disabled_at,omitempty"`
	// Reason and Detail say why it is disabled, else why that first one is parked.
	Reason event.Reason `json:"reason,omitempty"`
	Detail string       `json:"detail,omitempty"`
	// Reasons say why steps are dead or retrying.
	Reasons map[event.Reason]int `json:"reasons"`
}

// RejectedStats count callbacks that were no events.
type RejectedStats struct {
	Ever  int64 `json:"ever"`
	Kept  int64 `json:"kept"`
	Bytes int64 `json:"bytes"` // of those kept
}

// Bucket counts the events received in a span of time by the state they have now.
type Bucket struct {
	Start  time.Time              `json:"start"`
	Events map[event.Status]int64 `json:"events"`
}

// Disk is a disk on which something is kept.
type Disk struct {
	Path    string `json:"path"`
	Free    uint64 `json:"free_bytes"`
	Total   uint64 `json:"total_bytes"`
	Minimum uint64 `json:"minimum_free_bytes"`
}

// Progress tells how far a replay of many events is.
type Progress struct {
	Running  bool       `json:"running"`
	Events   int        `json:"events"` // replayed so far
	Steps    int        `json:"steps"`
	Started  *time.Time `json:"started_at,omitempty"`
	Finished *time.Time `json:"finished_at,omitempty"`
	Failed   bool       `json:"failed,omitempty"` // it ended before its end; our log says why
}

// Target is a step as something that can be switched off.
type Target struct {
	Name     string       `json:"name"`
	Enabled  bool         `json:"enabled"`
	Deferred int          `json:"deferred"`          // steps
	Next     *time.Time   `json:"next_at,omitempty"` // when the first of them is tried again
	Disabled *time.Time   `json:"disabled_at,omitempty"`
	Reason   event.Reason `json:"reason,omitempty"`
	Detail   string       `json:"detail,omitempty"`
}

// Mark is what a change of anything shown changes.
type Mark struct {
	Newest   event.ID               `json:"newest"`
	Counts   map[event.Status]int64 `json:"counts"`   // of states that are not done; all counts go no further than a bound
	Deferred int64                  `json:"deferred"` // steps
	Disabled int64                  `json:"disabled"` // targets
	Rejected int64                  `json:"rejected"` // bodies, ever
	Writes   int64                  `json:"writes"`   // by this replica since its start
	// Changed is when, of the steps that failed or fail, one changed last.
	Changed time.Time `json:"changed_at,omitzero"`
}
