package admin

import (
	"context"
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// An action for quarantined events: to verify them again, or to release them without verification.
const (
	actionVerify  = "verify"
	actionRelease = "release"
)

func releaseNotice(action string) notice {
	if action == actionVerify {
		return noticeVerifying
	}
	return noticeReleased
}

// releaseEvent answers POST events/{id}/release, or …/verify.
func (a *Admin) releaseEvent(action string) actionFunc {
	return func(_ http.ResponseWriter, r *http.Request) (result, error) {
		id, err := eventID(r)
		if err != nil {
			return result{}, err
		}
		if err := a.deps.Workflow.Release(r.Context(), id, action == actionVerify); err != nil {
			return result{}, err
		}
		a.deps.Log.Info().Str("event", string(id)).Str("action", action).Msg("quarantine action done")
		body := struct {
			ID     event.ID `json:"id"`
			Action string   `json:"action"`
		}{id, action}
		return result{body: body, page: eventPath(id), notice: releaseNotice(action), count: 1}, nil
	}
}

// releaseAll answers POST quarantine/release, or …/verify. It continues when the client disconnects, so that a large quarantine is
// not left half released.
func (a *Admin) releaseAll(action string) actionFunc {
	return func(_ http.ResponseWriter, r *http.Request) (result, error) {
		count, err := a.deps.Workflow.ReleaseAll(context.WithoutCancel(r.Context()), action == actionVerify)
		if err == nil || count > 0 {
			a.deps.Log.Info().Int("events", count).Str("action", action).Msg("quarantine action done")
		}
		body := struct {
			Events int    `json:"events"`
			Action string `json:"action"`
		}{count, action}
		return result{body: body, page: "/", notice: releaseNotice(action), count: count}, err
	}
}
