package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// list is a page of the list of events; Cursor asks for the next.
type list struct {
	Events []Summary `json:"events"`
	Cursor event.ID  `json:"cursor,omitempty"` // none at the end
}

// page reads the page of the list that a request asks for.
func (a *Admin) page(r *http.Request) (list, error) {
	filter, err := readFilter(r.URL.Query())
	if err != nil {
		return list{}, err
	}
	before, limit, err := readPage(r.URL.Query())
	if err != nil {
		return list{}, err
	}
	events, err := a.deps.Events.List(r.Context(), filter, before, limit+1)
	if err != nil {
		return list{}, storeFailure(err)
	}
	found := list{Events: events}
	if len(events) > limit {
		found.Events, found.Cursor = events[:limit], events[limit-1].ID
	}
	if found.Events == nil {
		found.Events = []Summary{}
	}
	return found, nil
}

// listEvents answers GET /api/v1/events.
func (a *Admin) listEvents(w http.ResponseWriter, r *http.Request) {
	found, err := a.page(r)
	reply(w, r, http.StatusOK, found, err)
}

// event loads the event in the path of a request.
func (a *Admin) event(r *http.Request) (Event, error) {
	id, err := eventID(r)
	if err != nil {
		return Event{}, err
	}
	found, err := a.deps.Events.Load(r.Context(), id)
	if err != nil {
		return Event{}, storeFailure(err)
	}
	if r.URL.Query().Get("payload") == "false" {
		return found, nil
	}
	body, err := a.deps.Events.Body(r.Context(), found.ID)
	if errors.Is(err, ErrNotFound) {
		return found, nil // its body was deleted
	}
	if err != nil {
		return Event{}, storeFailure(err)
	}
	if shown, err := a.deps.Redact(body); err == nil {
		found.Payload = shown
	}
	return found, nil
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
	body, err := a.deps.Events.Body(r.Context(), id)
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	setUntrustedHeaders(w.Header())
	w.Header().Set("Content-Type", "application/octet-stream") // JSON of the sender, not checked
	w.Header().Set("Content-Disposition", `attachment; filename="`+string(id)+`.json"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // an attachment in a sandbox, and nosniff: no browser runs it
}

// listRejections answers GET /api/v1/rejections.
func (a *Admin) listRejections(w http.ResponseWriter, r *http.Request) {
	_, limit, err := readPage(r.URL.Query())
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	found, err := a.rejections(r.Context(), limit)
	reply(w, r, http.StatusOK, struct {
		Rejections []rejection `json:"rejections"`
	}{found}, err)
}

// showStats answers GET /api/v1/stats.
func (a *Admin) showStats(w http.ResponseWriter, r *http.Request) {
	stats, err := a.deps.Counts.Get(r.Context())
	if err == nil {
		stats.Replay, err = a.deps.Replays.Progress(r.Context())
	}
	reply(w, r, http.StatusOK, stats, storeFailure(err))
}

// showSpecification answers GET /openapi.yaml.
func (a *Admin) showSpecification(w http.ResponseWriter, r *http.Request) {
	text, err := api.Specification()
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	mediaType := "application/yaml"
	if wantsPage(r) {
		mediaType = "text/plain; charset=utf-8" // which browsers show instead of downloading it
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // a client that is gone needs no answer
}

// redirectToSpecification answers GET /api.
func (*Admin) redirectToSpecification(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/openapi.yaml", http.StatusFound)
}

// reply answers with a body as JSON, or with the problem for err.
func reply(w http.ResponseWriter, r *http.Request, status int, result any, err error) {
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	body, err := json.Marshal(result)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}

func eventNotFound() error {
	return &problem.Error{Code: problem.CodeNotFound, Detail: "Event not found."}
}

func unreadableForm() error { return badRequest("The form cannot be read.") }

// storeFailure turns an error of the stores into a problem.
func storeFailure(err error) error {
	_, known := errors.AsType[*problem.Error](err)
	switch {
	case err == nil, known:
		return err
	case errors.Is(err, ErrNotFound):
		return &problem.Error{Code: problem.CodeNotFound, Detail: "Not found.", Err: err}
	case errors.Is(err, ErrBusy):
		return &problem.Error{Code: problem.CodeConflict, Detail: "A bulk replay is already running. Wait until it ends.", Err: err}
	case errors.Is(err, ErrSettled):
		return &problem.Error{Code: problem.CodeConflict, Detail: "The event is not quarantined.", Err: err}
	case errors.Is(err, ErrNoKey):
		const detail = "Jobs need a key of the Deep Image API. Set RECEIVER_DEEPIMAGE_API_KEY and restart."
		return &problem.Error{Code: problem.CodeConflict, Detail: detail, Err: err}
	case errors.Is(err, ErrNoPublicURL):
		const detail = "Submitting jobs needs the public URL of the receiver. Set RECEIVER_PUBLIC_URL and restart."
		return &problem.Error{Code: problem.CodeConflict, Detail: detail, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return problem.Unavailable("The store did not answer in time.", err)
	default:
		return err
	}
}
