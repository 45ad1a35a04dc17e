package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// maxCounted is how far events are counted that would be replayed.
const maxCounted = 100_000

// replayEvent answers POST /api/v1/events/{id}/replay: it resets what is dead, of one handler with
// ?handler=, and with ?finished=true also what is done. What is under way already is left alone.
func (a *Admin) replayEvent(w http.ResponseWriter, r *http.Request) {
	steps, err := a.replay(r, chi.URLParam(r, "id"), r.URL.Query())
	reply(w, r, http.StatusOK, struct {
		ID    event.ID `json:"id"`
		Steps int      `json:"steps"` // that were reset
	}{event.ID(chi.URLParam(r, "id")), steps}, err)
}

func (a *Admin) replay(r *http.Request, id string, values url.Values) (steps int, err error) {
	if !isID(id) {
		return 0, noEvent()
	}
	finished, err := readBool(values, "finished")
	if err != nil {
		return 0, err
	}
	handler := values.Get("handler")
	if len(handler) > maxText {
		return 0, badRequest("There is no such handler.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	steps, err = a.deps.Replays.Replay(ctx, event.ID(id), handler, finished)
	if err == nil {
		a.deps.Log.Info().Str("event", id).Str("handler", handler).Int("steps", steps).Bool("finished", finished).Msg("event replayed")
	}
	return steps, storeFailure(err)
}

// replayMany answers POST /api/v1/replays, whose filter is that of the list, in the query or in a form: with ?dry_run=true it
// only counts. The dead steps of those events run again, little by little and after new work.
func (a *Admin) replayMany(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		problem.Write(w, r, badRequest("The form cannot be read."))
		return
	}
	dry, err := readBool(r.Form, "dry_run")
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	count, err := a.beginReplay(r.Context(), r.Form, dry)
	status := http.StatusAccepted
	if dry {
		status = http.StatusOK
	}
	reply(w, r, status, struct {
		Events int  `json:"events"` // with a dead step
		More   bool `json:"more"`   // they were not counted further
		DryRun bool `json:"dry_run"`
	}{count, count == maxCounted, dry}, err)
}

// beginReplay counts the events that a filter lets through, and replays them unless dry is set.
func (a *Admin) beginReplay(ctx context.Context, values url.Values, dry bool) (count int, err error) {
	filter, err := readFilter(values)
	if err != nil {
		return 0, err
	}
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	count, err = a.deps.Replays.Count(limited, filter, maxCounted)
	if err == nil && !dry && count > 0 {
		err = a.deps.Replays.Begin(limited, filter)
	}
	return count, storeFailure(err)
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
