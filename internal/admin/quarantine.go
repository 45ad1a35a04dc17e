package admin

import (
	"context"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// verifyEvent answers POST /api/v1/events/{id}/verify.
func (a *Admin) verifyEvent(w http.ResponseWriter, r *http.Request) {
	a.letOut(w, r, "verify", a.deps.Quarantine.VerifyAgain)
}

// releaseEvent answers POST /api/v1/events/{id}/release.
func (a *Admin) releaseEvent(w http.ResponseWriter, r *http.Request) {
	a.letOut(w, r, "release", a.deps.Quarantine.Release)
}

// verifyAll answers POST /api/v1/quarantine/verify.
func (a *Admin) verifyAll(w http.ResponseWriter, r *http.Request) {
	a.letAllOut(w, r, "verify", a.deps.Quarantine.VerifyAllAgain)
}

// releaseAll answers POST /api/v1/quarantine/release.
func (a *Admin) releaseAll(w http.ResponseWriter, r *http.Request) {
	a.letAllOut(w, r, "release", a.deps.Quarantine.ReleaseAll)
}

func (a *Admin) letOut(w http.ResponseWriter, r *http.Request, what string, do func(context.Context, event.ID) error) {
	id := chi.URLParam(r, "id")
	if !isID(id) {
		problem.Write(w, r, noEvent())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	err := do(ctx, event.ID(id))
	if err == nil {
		a.deps.Log.Info().Str("event", id).Str("action", what).Msg("event let out of quarantine")
	}
	reply(w, r, http.StatusOK, struct {
		ID     event.ID `json:"id"`
		Action string   `json:"action"`
	}{event.ID(id), what}, storeFailure(err))
}

// letAllOut goes on when the client leaves: what is let out by then is, and the rest is as well.
func (a *Admin) letAllOut(w http.ResponseWriter, r *http.Request, what string, do func(context.Context) (int, error)) {
	count, err := do(context.WithoutCancel(r.Context()))
	if err == nil || count > 0 {
		a.deps.Log.Info().Int("events", count).Str("action", what).Msg("events let out of quarantine")
	}
	reply(w, r, http.StatusOK, struct {
		Events int    `json:"events"`
		Action string `json:"action"`
	}{count, what}, storeFailure(err))
}

// letOutPage answers the forms POST /events/{id}/verify and /release.
func (a *Admin) letOutPage(do func(context.Context, event.ID) error, did string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := chi.URLParam(r, "id")
		err := noEvent()
		if isID(id) {
			ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
			defer cancel()
			err = do(ctx, event.ID(id))
		}
		if err == nil {
			a.deps.Log.Info().Str("event", id).Str("action", did).Msg("event let out of quarantine")
		}
		a.done(w, r, "/events/"+id, did, 1, storeFailure(err))
	}
}

// letAllOutPage answers the forms POST /quarantine/verify and /release.
func (a *Admin) letAllOutPage(do func(context.Context) (int, error), did string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		count, err := do(context.WithoutCancel(r.Context()))
		if err == nil || count > 0 {
			a.deps.Log.Info().Int("events", count).Str("action", did).Msg("events let out of quarantine")
		}
		a.done(w, r, "/", did, count, storeFailure(err))
	}
}
