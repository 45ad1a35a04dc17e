package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
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
	var body overview
	stats, err := a.deps.Counts.Get(r.Context())
	if err == nil {
		stats.Replay, err = a.deps.Replays.Progress(r.Context())
	}
	if err == nil {
		body = overview{Stats: stats, Chart: draw(stats, chartOver)}
		body.Tiles = tiles(stats, body.Chart)
		for _, n := range stats.Events {
			body.Total += n
		}
		body.Newest, err = a.deps.Events.List(r.Context(), Filter{}, "", newest)
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
			body.Replay = "/replays?" + values.Encode()
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
	n, err := a.deps.Quarantine.Quarantined(ctx)
	if err != nil {
		return 0
	}
	return n
}

// handlerNames are those by which a list can be filtered; none if the store does not tell.
func (a *Admin) handlerNames(ctx context.Context) (names []string) {
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

// Replayable is how many steps can be replayed.
func (p eventPage) Replayable() int { return p.Dead + p.Finished }

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

// showRejected answers GET /rejected.
func (a *Admin) showRejected(w http.ResponseWriter, r *http.Request) {
	found, err := a.rejections(r.Context(), maxLimit)
	a.show(w, r, "rejected", view{Title: "Rejected", Section: "rejected", Live: true, Body: found}, err)
}
