package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// maxCounted bounds how many events are counted before a bulk replay.
const maxCounted = 100_000

// replayEvent answers POST events/{id}/replay. It resets the dead steps of an event, with handler=
// only those of one handler, and with finished=true also those that are done.
func (a *Admin) replayEvent(_ http.ResponseWriter, r *http.Request) (result, error) {
	id, err := eventID(r)
	if err != nil {
		return result{}, err
	}
	if err := r.ParseForm(); err != nil {
		return result{}, unreadableForm()
	}
	finished, err := readBool(r.Form, "finished")
	if err != nil {
		return result{}, err
	}
	handler := r.Form.Get("handler")
	if len(handler) > maxText {
		return result{}, badRequest("The handler is unknown.")
	}
	steps, err := a.deps.Workflow.Replay(r.Context(), id, workflow.Replay{Handler: handler, Finished: finished})
	if err != nil {
		return result{}, err
	}
	a.deps.Log.Info().Str("event", string(id)).Str("handler", handler).Int("steps", steps).Bool("finished", finished).Msg("event replayed")
	body := struct {
		ID    event.ID `json:"id"`
		Steps int      `json:"steps"` // that were reset
	}{id, steps}
	return result{body: body, page: eventPath(id), notice: noticeReplayed, count: steps}, nil
}

// replayMany answers POST replays. It replays the dead steps of all events that match the list's filter, given in
// the query or in a form; with dry_run=true it only counts the events.
func (a *Admin) replayMany(_ http.ResponseWriter, r *http.Request) (result, error) {
	if err := r.ParseForm(); err != nil {
		return result{}, unreadableForm()
	}
	dry, err := readBool(r.Form, "dry_run")
	if err != nil {
		return result{}, err
	}
	count, err := a.beginReplay(r.Context(), r.Form, dry)
	status := http.StatusAccepted
	if dry {
		status = http.StatusOK
	}
	body := struct {
		Events int  `json:"events"` // with a dead step
		More   bool `json:"more"`   // the count stopped at its bound
		DryRun bool `json:"dry_run"`
	}{count, count == maxCounted, dry}
	return result{status: status, body: body, page: "/", notice: noticeReplaying, count: count}, err
}

// beginReplay counts the events that match a filter, and starts their replay unless dry is set.
func (a *Admin) beginReplay(ctx context.Context, values url.Values, dry bool) (count int, err error) {
	filter, err := readFilter(values)
	if err != nil {
		return 0, err
	}
	count, err = a.deps.History.CountDead(ctx, filter, maxCounted)
	if err != nil || dry || count == 0 {
		return count, err
	}
	if dead, possible := filter.OnlyDead(); possible {
		err = a.deps.Replayer.Begin(ctx, dead)
	}
	return count, err
}

// replayPage is the body of the page that asks before a bulk replay.
type replayPage struct {
	Filter history.Filter
	Values url.Values
	Count  int
	More   bool
	Back   string
	Busy   bool
}

// confirmReplay answers GET /replays: how many events a bulk replay would include.
func (a *Admin) confirmReplay(w http.ResponseWriter, r *http.Request) {
	filter, err := readFilter(r.URL.Query())
	body := replayPage{Filter: filter, Values: filterValues(filter), Back: "/events?" + filterValues(filter).Encode()}
	if err == nil {
		var latest ReplayProgress
		latest, err = a.replayProgress(r.Context())
		body.Busy = latest.Running
	}
	if err == nil {
		body.Count, err = a.beginReplay(r.Context(), r.URL.Query(), true)
		body.More = body.Count == maxCounted
	}
	a.show(w, r, "replay", view{Title: "Replay", Section: "events", Body: body}, storeFailure(err))
}

func readBool(values url.Values, name string) (bool, error) {
	switch values.Get(name) {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	default:
		return false, badRequest("The parameter " + name + " must be true or false.")
	}
}
