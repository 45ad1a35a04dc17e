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
	"github.com/go-chi/chi/v5"
)

// list is a part of a list; Cursor asks for the next.
type list struct {
	Events []Summary `json:"events"`
	Cursor event.ID  `json:"cursor,omitempty"` // none at the end
}

// page reads the part of the list that a request asks for.
func (a *Admin) page(r *http.Request) (list, error) {
	filter, err := readFilter(r.URL.Query())
	if err != nil {
		return list{}, err
	}
	before, limit, err := readPage(r.URL.Query())
	if err != nil {
		return list{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	events, err := a.deps.Events.List(ctx, filter, before, limit+1)
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

// event reads the event that the path of a request names.
func (a *Admin) event(r *http.Request) (Event, error) {
	id := chi.URLParam(r, "id")
	if !isID(id) {
		return Event{}, noEvent()
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	found, err := a.deps.Events.Load(ctx, event.ID(id))
	if err != nil {
		return Event{}, storeFailure(err)
	}
	if r.URL.Query().Get("payload") == "false" {
		return found, nil
	}
	body, err := a.deps.Events.Body(ctx, found.ID)
	if errors.Is(err, ErrNotFound) {
		return found, nil // the history is kept longer than the body
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
	id := chi.URLParam(r, "id")
	if !isID(id) {
		problem.Write(w, r, noEvent())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	body, err := a.deps.Events.Body(ctx, event.ID(id))
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	harmless(w.Header())
	w.Header().Set("Content-Type", "application/octet-stream") // it is JSON as the sender wrote it, and not ours to vouch for
	w.Header().Set("Content-Disposition", `attachment; filename="`+id+`.json"`)
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
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	stats, err := a.deps.Counts.Get(ctx)
	if err == nil {
		stats.Replay, err = a.deps.Replays.Progress(ctx)
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
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // a client that is gone needs no answer
}

// reply answers with a result as JSON, or with what err means.
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

func noEvent() error {
	return &problem.Error{Code: problem.CodeNotFound, Detail: "There is no such event."}
}

// storeFailure gives an error of those behind the door its meaning.
func storeFailure(err error) error {
	_, known := errors.AsType[*problem.Error](err)
	switch {
	case err == nil, known:
		return err
	case errors.Is(err, ErrNotFound):
		return &problem.Error{Code: problem.CodeNotFound, Detail: "There is no such thing.", Err: err}
	case errors.Is(err, ErrBusy):
		return &problem.Error{Code: problem.CodeConflict, Detail: "Another replay of many events is under way. Wait for its end.", Err: err}
	case errors.Is(err, ErrSettled):
		return &problem.Error{Code: problem.CodeConflict, Detail: "The event is not quarantined.", Err: err}
	case errors.Is(err, ErrNoKey):
		const detail = "Only the Deep Image API knows about jobs. Set RECEIVER_DEEPIMAGE_API_KEY and start again."
		return &problem.Error{Code: problem.CodeConflict, Detail: detail, Err: err}
	case errors.Is(err, ErrNoPublicURL):
		const detail = "Deep Image must be told where to call back. Set RECEIVER_PUBLIC_URL and start again."
		return &problem.Error{Code: problem.CodeConflict, Detail: detail, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return problem.Unavailable("The store took too long to answer.", err)
	default:
		return err
	}
}
