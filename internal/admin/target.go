package admin

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// listTargets answers GET /api/v1/targets.
func (a *Admin) listTargets(w http.ResponseWriter, r *http.Request) {
	found, err := a.deps.Targets.Targets(r.Context())
	reply(w, r, http.StatusOK, struct {
		Targets []Target `json:"targets"`
	}{found}, storeFailure(err))
}

// enableTarget answers POST targets/{name}/enable.
func (a *Admin) enableTarget(_ http.ResponseWriter, r *http.Request) (result, error) {
	return a.setTarget(r, a.deps.Targets.Enable, true, noticeEnabled)
}

// disableTarget answers POST targets/{name}/disable.
func (a *Admin) disableTarget(_ http.ResponseWriter, r *http.Request) (result, error) {
	return a.setTarget(r, a.deps.Targets.Disable, false, noticeDisabled)
}

func (a *Admin) setTarget(r *http.Request, set func(context.Context, string) error, enabled bool, did notice) (result, error) {
	name := chi.URLParam(r, "name")
	if err := set(r.Context(), name); err != nil {
		return result{}, err
	}
	a.deps.Log.Info().Str("target", name).Bool("enabled", enabled).Msg("target changed")
	body := struct {
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
	}{name, enabled}
	return result{body: body, page: "/", notice: did, count: 1}, nil
}
