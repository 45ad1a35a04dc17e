package admin

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// listTargets answers GET /api/v1/targets.
func (a *Admin) listTargets(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	found, err := a.deps.Targets.Targets(ctx)
	reply(w, r, http.StatusOK, struct {
		Targets []Target `json:"targets"`
	}{found}, storeFailure(err))
}

// enableTarget answers POST /api/v1/targets/{name}/enable.
func (a *Admin) enableTarget(w http.ResponseWriter, r *http.Request) {
	a.switchTarget(w, r, a.deps.Targets.Enable, true)
}

// disableTarget answers POST /api/v1/targets/{name}/disable.
func (a *Admin) disableTarget(w http.ResponseWriter, r *http.Request) {
	a.switchTarget(w, r, a.deps.Targets.Disable, false)
}

func (a *Admin) switchTarget(w http.ResponseWriter, r *http.Request, do func(context.Context, string) error, enabled bool) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	name := chi.URLParam(r, "name")
	err := do(ctx, name)
	if err == nil {
		a.deps.Log.Info().Str("target", name).Bool("enabled", enabled).Msg("target switched")
	}
	reply(w, r, http.StatusOK, struct {
		Name    string `json:"name"`
		Enabled bool   `json:"enabled"`
	}{name, enabled}, storeFailure(err))
}
