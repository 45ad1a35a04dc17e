package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// eventList is a page of the list of events; Cursor asks for the next.
type eventList struct {
	Events []history.ListItem `json:"events"`
	Cursor event.ID           `json:"cursor,omitempty"` // none at the end
}

// events reads the page of the list that a request asks for.
func (a *Admin) events(r *http.Request) (eventList, error) {
	filter, err := readFilter(r.URL.Query())
	if err != nil {
		return eventList{}, err
	}
	before, limit, err := readPage(r.URL.Query())
	if err != nil {
		return eventList{}, err
	}
	events, err := a.deps.History.Find(r.Context(), filter, before, limit+1)
	if err != nil {
		return eventList{}, storeFailure(err)
	}
	found := eventList{Events: events}
	if len(events) > limit {
		found.Events, found.Cursor = events[:limit], events[limit-1].ID
	}
	if found.Events == nil {
		found.Events = []history.ListItem{}
	}
	return found, nil
}

// listEvents answers GET /api/v1/events.
func (a *Admin) listEvents(w http.ResponseWriter, r *http.Request) {
	found, err := a.events(r)
	reply(w, r, http.StatusOK, found, err)
}

// Event is an event with its steps and artifacts, and without its secrets.
type Event struct {
	history.Event
	ResultURL string          `json:"result_url,omitempty"` // redacted
	Steps     []history.Step  `json:"steps"`
	Artifacts []Artifact      `json:"artifacts"`
	Warnings  []Warning       `json:"warnings,omitempty"`
	Payload   json.RawMessage `json:"payload"` // the redacted body; null if it cannot be redacted or was deleted
	Original  *Original       `json:"original,omitempty"`
}

// Original is the body of an event as it came, if the body was decompressed or taken out of a form.
type Original struct {
	ContentEncoding string `json:"content_encoding,omitempty"`
	ContentType     string `json:"content_type,omitempty"`
	Bytes           int64  `json:"bytes"`
}

// Warning is something about an event or the receiver that a person should know.
type Warning struct {
	Code   string `json:"code"`   // results_ignored of an event; auth of the receiver
	Detail string `json:"detail"` // a sentence
}

// warningsOf returns the warnings about an event with this body.
func warningsOf(e history.Event, body []byte) []Warning {
	if e.Verified.IsZero() {
		return nil
	}
	decoded, err := event.Decode(body)
	if err != nil {
		return nil
	}
	if _, _, ignored := decoded.Confirm(e.ResultURL); ignored > 0 {
		return []Warning{{Code: "results_ignored", Detail: event.IgnoredResults(ignored)}}
	}
	return nil
}

// Artifact is a stored file.
type Artifact struct {
	Number int `json:"number"` // in the URL of the file
	event.Artifact
}

// event loads the event in the path of a request.
func (a *Admin) event(r *http.Request) (Event, error) {
	id, err := eventID(r)
	if err != nil {
		return Event{}, err
	}
	details, err := a.deps.History.Load(r.Context(), id)
	if err != nil {
		return Event{}, storeFailure(err)
	}
	found := Event{Event: details.Event, ResultURL: event.RedactURL(details.Event.ResultURL), Steps: details.Steps, Artifacts: []Artifact{}}
	if found.Steps == nil {
		found.Steps = []history.Step{}
	}
	for n, artifact := range details.Artifacts {
		found.Artifacts = append(found.Artifacts, Artifact{Number: n, Artifact: artifact})
	}
	if r.URL.Query().Get("payload") == "false" {
		return found, nil
	}
	lease, err := a.deps.Memory.AcquireLoad(r.Context(), found.Bytes)
	if err != nil {
		return Event{}, storeFailure(err)
	}
	defer lease.Release() // what remains is short
	body, err := a.deps.Inbox.Body(r.Context(), found.Job, found.ID)
	if errors.Is(err, inbox.ErrNotFound) {
		return found, nil // the body was deleted
	}
	if err != nil {
		return Event{}, storeFailure(err)
	}
	found.Warnings = warningsOf(details.Event, body)
	if redacted, err := event.Redact(body); err == nil {
		found.Payload = redacted
	}
	found.Original, err = a.original(r.Context(), found.ID)
	return found, err
}

// original describes the body of an event as it came, nil if the body is that.
func (a *Admin) original(ctx context.Context, id event.ID) (*Original, error) {
	found, bytes, err := a.deps.Inbox.DescribeOriginal(ctx, id)
	if errors.Is(err, inbox.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, storeFailure(err)
	}
	return &Original{ContentEncoding: found.ContentEncoding, ContentType: found.ContentType, Bytes: bytes}, nil
}

// showEvent answers GET /api/v1/events/{id}.
func (a *Admin) showEvent(w http.ResponseWriter, r *http.Request) {
	found, err := a.event(r)
	reply(w, r, http.StatusOK, found, err)
}

// showBody answers GET /api/v1/events/{id}/body.
func (a *Admin) showBody(w http.ResponseWriter, r *http.Request) {
	id, err := eventID(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	found, err := a.deps.History.Event(r.Context(), id)
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	lease, err := a.deps.Memory.AcquireLoad(r.Context(), found.Bytes)
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	defer lease.Release()
	body, err := a.deps.Inbox.Body(r.Context(), found.Job, id)
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	writeBody(w, string(id)+".json", body)
}

// showOriginal answers GET /api/v1/events/{id}/original: with the body as it came, if that is another than the body.
func (a *Admin) showOriginal(w http.ResponseWriter, r *http.Request) {
	id, err := eventID(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	_, length, err := a.deps.Inbox.DescribeOriginal(r.Context(), id)
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	lease, err := a.deps.Memory.AcquireLoad(r.Context(), length)
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	defer lease.Release()
	original, err := a.deps.Inbox.Original(r.Context(), id)
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	writeBody(w, string(id)+".bin", original.Body)
}

// writeBody answers with the body of a callback as a file with a name.
func writeBody(w http.ResponseWriter, name string, body []byte) {
	setUntrustedHeaders(w.Header())
	w.Header().Set("Content-Type", "application/octet-stream") // text of the sender, not checked
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // an attachment in a sandbox, with nosniff: no browser runs it
}

// eventID is the id of the event in the path of a request.
func eventID(r *http.Request) (event.ID, error) {
	id := chi.URLParam(r, "id")
	if !isID(id) {
		return "", &problem.Error{Code: problem.CodeNotFound, Detail: "Event not found."}
	}
	return event.ID(id), nil
}

func eventPath(id event.ID) string { return "/events/" + string(id) }
