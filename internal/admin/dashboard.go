package admin

import (
	"cmp"
	"context"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
)

// overview is the body of the first page.
type overview struct {
	Stats  Stats
	Chart  chart
	Tiles  []tile
	Newest []history.ListItem
	Total  int64
}

// showOverview answers GET /.
func (a *Admin) showOverview(w http.ResponseWriter, r *http.Request) {
	const newest = 8
	var body overview
	stats, err := a.Stats(r.Context())
	if err == nil {
		body = overview{Stats: stats, Chart: newChart(stats, chartPeriod)}
		body.Tiles = newTiles(stats, body.Chart)
		for _, n := range stats.Events {
			body.Total += n
		}
		body.Newest, err = a.deps.History.Find(r.Context(), history.Filter{}, "", newest)
	}
	a.show(w, r, "overview", view{Title: "Overview", Section: "overview", Live: true, Body: body}, storeFailure(err))
}

// eventsPage is the body of the list of events.
type eventsPage struct {
	eventList
	Filter   history.Filter
	Filtered bool
	Handlers []string
	Next     string // address of the next page; "" at the end
	Newer    bool   // this is not the first page
	First    string // address of the first page
	Whole    bool   // the list is the whole quarantine
	All      int    // number of quarantined events then; 0 if unknown
	Replay   string // address of the bulk replay of the filtered events; "" if none of them can be dead
}

// showEvents answers GET /events.
func (a *Admin) showEvents(w http.ResponseWriter, r *http.Request) {
	found, err := a.events(r)
	body := eventsPage{eventList: found}
	if err == nil {
		body.Filter, err = readFilter(r.URL.Query())
		body.Filtered = body.Filter != history.Filter{}
		values := filterValues(body.Filter)
		body.First = "/events?" + values.Encode()
		if body.Filter.State == "" || body.Filter.State == event.Dead {
			body.Replay = "/replays?" + values.Encode()
		}
		body.Newer = r.URL.Query().Get("cursor") != ""
		if found.Cursor != "" {
			values.Set("cursor", string(found.Cursor))
			body.Next = "/events?" + values.Encode()
		}
		body.Handlers = a.handlerNames(r.Context())
	}
	v := view{Title: "Events", Section: "events", Live: !body.Newer}
	if body.Filter.State == event.Quarantined {
		v.Title, v.Section = "Quarantine", "quarantine"
		body.Whole = body.Filter == history.Filter{State: event.Quarantined}
	}
	if body.Whole {
		body.All, _ = a.deps.Workflow.Quarantined(r.Context()) // the page can be shown without it
	}
	v.Body = body
	a.show(w, r, "events", v, err)
}

// handlerNames are the handlers that a list can be filtered by. The page can be shown without them.
func (a *Admin) handlerNames(ctx context.Context) (names []string) {
	targets, err := a.targets(ctx)
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
	Images   []Artifact
	Others   []Artifact // files that are not images, such as the manifest
	Dead     int        // steps that can be replayed
	Finished int        // steps that are done or skipped and can be replayed too
}

// Replayable is how many steps can be replayed.
func (p eventPage) Replayable() int { return p.Dead + p.Finished }

// showEventPage answers GET /events/{id}.
func (a *Admin) showEventPage(w http.ResponseWriter, r *http.Request) {
	found, err := a.event(r)
	body := eventPage{Event: found}
	for _, artifact := range found.Artifacts {
		if artifact.Width > 0 {
			body.Images = append(body.Images, artifact)
		} else {
			body.Others = append(body.Others, artifact)
		}
	}
	for _, step := range found.Steps {
		switch {
		case found.State == event.Quarantined: // no step of it runs before it is released
		case step.State == event.Dead:
			body.Dead++
		case isFinished(step.State):
			body.Finished++
		}
	}
	a.show(w, r, "event", view{Title: "Event " + cmp.Or(found.Reference, found.Input, found.Job), Section: "events", Live: true, Body: body}, err)
}

// isFinished reports whether a step is only replayed on request.
func isFinished(state event.Status) bool { return state == event.Done || state == event.Skipped }

// isShownByAttempt reports whether the only attempt of a step has its reason and detail.
func isShownByAttempt(s history.Step) bool {
	return len(s.Attempts) == 1 && s.Attempts[0].Reason == s.Reason && s.Attempts[0].Detail == s.Detail
}
