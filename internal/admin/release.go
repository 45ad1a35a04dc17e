package admin

import (
	"context"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// verifyEvent answers POST events/{id}/verify.
func (a *Admin) verifyEvent(_ http.ResponseWriter, r *http.Request) (result, error) {
	return a.releaseOne(r, "verify", noticeVerifying, a.deps.Workflow.VerifyAgain)
}

// releaseEvent answers POST events/{id}/release.
func (a *Admin) releaseEvent(_ http.ResponseWriter, r *http.Request) (result, error) {
	return a.releaseOne(r, "release", noticeReleased, a.deps.Workflow.Release)
}

// verifyAll answers POST quarantine/verify.
func (a *Admin) verifyAll(_ http.ResponseWriter, r *http.Request) (result, error) {
	return a.releaseMany(r, "verify", noticeVerifying, a.deps.Workflow.VerifyAllAgain)
}

// releaseAll answers POST quarantine/release.
func (a *Admin) releaseAll(_ http.ResponseWriter, r *http.Request) (result, error) {
	return a.releaseMany(r, "release", noticeReleased, a.deps.Workflow.ReleaseAll)
}

func (a *Admin) releaseOne(r *http.Request, action string, did notice, do func(context.Context, event.ID) error) (result, error) {
	id, err := eventID(r)
	if err != nil {
		return result{}, err
	}
	if err := do(r.Context(), id); err != nil {
		return result{}, err
	}
	a.deps.Log.Info().Str("event", string(id)).Str("action", action).Msg("quarantine action done")
	body := struct {
		ID     event.ID `json:"id"`
		Action string   `json:"action"`
	}{id, action}
	return result{body: body, page: eventPath(id), notice: did, count: 1}, nil
}

// releaseMany continues when the client disconnects, so that a large quarantine is not left half released.
func (a *Admin) releaseMany(r *http.Request, action string, did notice, do func(context.Context) (int, error)) (result, error) {
	count, err := do(context.WithoutCancel(r.Context()))
	if err == nil || count > 0 {
		a.deps.Log.Info().Int("events", count).Str("action", action).Msg("quarantine action done")
	}
	body := struct {
		Events int    `json:"events"`
		Action string `json:"action"`
	}{count, action}
	return result{body: body, page: "/", notice: did, count: count}, err
}
