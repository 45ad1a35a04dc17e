package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/go-chi/chi/v5"
)

// Target is a step that can be disabled and enabled.
type Target struct {
	workflow.Target
	Enabled bool `json:"enabled"`
}

// targets lists the configured steps in their order, then those that only the store knows.
func (a *Admin) targets(ctx context.Context) ([]Target, error) {
	found, err := a.deps.Workflow.Targets(ctx)
	if err != nil {
		return nil, err
	}
	list := []Target{}
	for _, name := range a.deps.Handlers {
		list = append(list, Target{Target: workflow.Target{Name: name}, Enabled: true})
	}
	for _, f := range found {
		at := slices.IndexFunc(list, func(t Target) bool { return t.Name == f.Name })
		if at < 0 {
			at = len(list)
			list = append(list, Target{})
		}
		list[at] = Target{Target: f, Enabled: f.Disabled.IsZero()}
		if !list[at].Enabled {
			list[at].NextAt = time.Time{}
		}
	}
	return list, nil
}

// listTargets answers GET /api/v1/targets.
func (a *Admin) listTargets(w http.ResponseWriter, r *http.Request) {
	found, err := a.targets(r.Context())
	reply(w, r, http.StatusOK, struct {
		Targets []Target `json:"targets"`
	}{found}, storeFailure(err))
}

// enableTarget answers POST targets/{name}/enable.
func (a *Admin) enableTarget(_ http.ResponseWriter, r *http.Request) (result, error) {
	return a.setTarget(r, true, noticeEnabled)
}

// disableTarget answers POST targets/{name}/disable.
func (a *Admin) disableTarget(_ http.ResponseWriter, r *http.Request) (result, error) {
	return a.setTarget(r, false, noticeDisabled)
}

func (a *Admin) setTarget(r *http.Request, enabled bool, did notice) (result, error) {
	name := chi.URLParam(r, "name")
	known, err := a.targets(r.Context())
	switch {
	case err != nil:
	case !slices.ContainsFunc(known, func(t Target) bool { return t.Name == name }):
		err = database.ErrNotFound
	case enabled:
		_, err = a.deps.Workflow.Enable(r.Context(), name)
	default:
		err = a.deps.Workflow.Disable(r.Context(), name, event.ReasonOther, "disabled by a person")
	}
	if err != nil {
		return result{}, err
	}
	a.deps.Log.Info().Str("target", name).Bool("enabled", enabled).Msg("target changed")
	body := struct {
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
	}{name, enabled}
	return result{body: body, page: "/", notice: did, count: 1}, nil
}
