package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/go-chi/chi/v5"
)

// chartOver is how far back the chart looks.
const chartOver = 24 * time.Hour

// overview is the body of the first page.
type overview struct {
	Stats  Stats
	Chart  chart
	Tiles  []tile
	Newest []Summary
	Total  int64
}

// showOverview answers GET /.
func (a *Admin) showOverview(w http.ResponseWriter, r *http.Request) {
	const newest = 8
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	var body overview
	stats, err := a.deps.Counts.Get(ctx)
	if err == nil {
		stats.Replay, err = a.deps.Replays.Progress(ctx)
	}
	if err == nil {
		body = overview{Stats: stats, Chart: draw(stats, chartOver)}
		body.Tiles = tiles(stats, body.Chart)
		for _, n := range stats.Events {
			body.Total += n
		}
		body.Newest, err = a.deps.Events.List(ctx, Filter{}, "", newest)
	}
	a.show(w, r, "overview", view{Title: "Overview", Section: "overview", Live: true, Body: body}, storeFailure(err))
}

// eventsPage is the body of the list.
type eventsPage struct {
	list
	Filter   Filter
	Handlers []string
	Next     string // address of the next part; "" at the end
	Newer    bool   // this is not the first part
	First    string // address of the first part
	Whole    bool   // the whole quarantine is listed, and nothing else
	All      int    // how many are quarantined then; 0 if it is not known
	Replay   string // address where the dead ones of these can be run again; "" where there can be none
}

// showEvents answers GET /events.
func (a *Admin) showEvents(w http.ResponseWriter, r *http.Request) {
	found, err := a.page(r)
	body := eventsPage{list: found}
	section := "events"
	if err == nil {
		body.Filter, err = readFilter(r.URL.Query())
		values := body.Filter.values()
		body.First = "/events?" + values.Encode()
		if body.Filter.Status == "" || body.Filter.Status == event.Dead {
			body.Replay = "/replay?" + values.Encode()
		}
		body.Newer = r.URL.Query().Get("cursor") != ""
		if found.Cursor != "" {
			values.Set("cursor", string(found.Cursor))
			body.Next = "/events?" + values.Encode()
		}
		body.Handlers = a.handlerNames(r.Context())
	}
	title := "Events"
	if body.Filter.Status == event.Quarantined {
		title, section = "Quarantine", "quarantine"
		body.Whole = body.Filter == Filter{Status: event.Quarantined}
	}
	if body.Whole {
		body.All = a.quarantined(r.Context())
	}
	a.show(w, r, "events", view{Title: title, Section: section, Live: !body.Newer, Body: body}, err)
}

// quarantined is how many events a person lets out with all of them; 0 if the store does not tell.
func (a *Admin) quarantined(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	n, err := a.deps.Quarantine.Quarantined(ctx)
	if err != nil {
		return 0
	}
	return n
}

// handlerNames are those by which a list can be filtered; none if the store does not tell.
func (a *Admin) handlerNames(ctx context.Context) (names []string) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	targets, err := a.deps.Targets.Targets(ctx)
	if err != nil {
		return nil
	}
	for _, target := range targets {
		names = append(names, target.Name)
	}
	return names
}

// eventPage is the body of the page of one event.
type eventPage struct {
	Event
	Pictures []Artifact
	Others   []Artifact // files that are no pictures, such as the manifest
	Dead     int        // steps that can be run again
	Finished int        // steps that are done and can be run again all the same
}

// Again is how many steps can be run again at all.
func (p eventPage) Again() int { return p.Dead + p.Finished }

// showEventPage answers GET /events/{id}.
func (a *Admin) showEventPage(w http.ResponseWriter, r *http.Request) {
	found, err := a.event(r)
	body := eventPage{Event: found}
	for _, artifact := range found.Artifacts {
		if artifact.Width > 0 {
			body.Pictures = append(body.Pictures, artifact)
		} else {
			body.Others = append(body.Others, artifact)
		}
	}
	for _, step := range found.Steps {
		switch {
		case found.Status == event.Quarantined: // nothing of it runs before it is let out
		case step.Status == event.Dead:
			body.Dead++
		case isFinished(step.Status):
			body.Finished++
		}
	}
	a.show(w, r, "event", view{Title: "Event " + found.Job, Section: "events", Live: true, Body: body}, err)
}

// isFinished says that a step in a state runs again only if that is asked for.
func isFinished(state event.Status) bool { return state == event.Done || state == event.Skipped }

// replayPage answers POST /events/{id}/replay, the form of the page.
func (a *Admin) replayPage(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	steps := 0
	if err == nil {
		steps, err = a.replay(r, chi.URLParam(r, "id"), r.PostForm)
	} else {
		err = badRequest("The form cannot be read.")
	}
	a.done(w, r, "/events/"+url.PathEscape(chi.URLParam(r, "id")), "replayed", steps, err)
}

// done goes on, after an action, to the page that shows what it did.
func (a *Admin) done(w http.ResponseWriter, r *http.Request, address, did string, n int, err error) {
	if err != nil {
		a.show(w, r, "trouble", view{}, err)
		return
	}
	http.Redirect(w, r, address+"?"+url.Values{"did": {did}, "n": {strconv.Itoa(n)}}.Encode(), http.StatusSeeOther)
}

// replayAsk is the body of the page that asks before many events run again.
type replayAsk struct {
	Filter Filter
	Values url.Values
	Count  int
	More   bool
	Back   string
	Busy   bool
}

// askReplay answers GET /replay: how many would run again, and whether that is wanted.
func (a *Admin) askReplay(w http.ResponseWriter, r *http.Request) {
	filter, err := readFilter(r.URL.Query())
	body := replayAsk{Filter: filter, Values: filter.values(), Back: "/events?" + filter.values().Encode()}
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		var latest Progress
		latest, err = a.deps.Replays.Progress(ctx)
		body.Busy = latest.Running
	}
	if err == nil {
		body.Count, err = a.beginReplay(r.Context(), r.URL.Query(), true)
		body.More = body.Count == maxCounted
	}
	a.show(w, r, "replay", view{Title: "Run again", Section: "events", Body: body}, err)
}

// replayManyPage answers POST /replay.
func (a *Admin) replayManyPage(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		a.show(w, r, "trouble", view{}, badRequest("The form cannot be read."))
		return
	}
	count, err := a.beginReplay(r.Context(), r.PostForm, false)
	a.done(w, r, "/", "replaying", count, err)
}

// showRejected answers GET /rejected.
func (a *Admin) showRejected(w http.ResponseWriter, r *http.Request) {
	found, err := a.rejections(r.Context(), maxLimit)
	a.show(w, r, "rejected", view{Title: "Rejected", Section: "rejected", Live: true, Body: found}, err)
}

// switchTargetPage answers POST /targets/{name}/enable and /disable, the forms of the overview.
func (a *Admin) switchTargetPage(do func(context.Context, string) error, did string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		err := do(ctx, chi.URLParam(r, "name"))
		a.done(w, r, "/", did, 1, storeFailure(err))
	}
}

// showLogin answers GET /login.
func (a *Admin) showLogin(w http.ResponseWriter, r *http.Request) {
	if !a.access.required() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if has, err := a.access.sessions.has(r); has && err == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	a.show(w, r, "login", view{Title: "Log in", Section: "login", Body: local(r.URL.Query().Get("next"))}, nil)
}
