package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// actionPurge removes the bodies of quarantined events.
const actionPurge = "purge"

// purgeAll answers POST quarantine/purge. With dry_run=true it only counts the events. It continues when the client disconnects.
func (a *Admin) purgeAll(_ http.ResponseWriter, r *http.Request) (result, error) {
	if err := r.ParseForm(); err != nil {
		return result{}, unreadableForm()
	}
	dry, err := readBool(r.Form, "dry_run")
	if err != nil {
		return result{}, err
	}
	age, err := readAge(r.Form, "older_than")
	if err != nil {
		return result{}, err
	}
	before := time.Now().Add(-age)
	var count int
	if dry {
		count, err = a.deps.Workflow.CountPurgeable(r.Context(), before)
	} else {
		count, err = a.deps.Workflow.Purge(context.WithoutCancel(r.Context()), before, a.purgeBodies)
		if err == nil || count > 0 {
			a.deps.Log.Info().Int("events", count).Str("action", actionPurge).Msg("quarantine action done")
		}
	}
	body := struct {
		Events int    `json:"events"`
		Action string `json:"action"`
		DryRun bool   `json:"dry_run"`
	}{count, actionPurge, dry}
	return result{body: body, page: "/", notice: noticePurged, count: count}, err
}

func (a *Admin) purgeBodies(ctx context.Context, events []workflow.Purged) error {
	list := make([]inbox.Identity, len(events))
	for n, e := range events {
		list[n] = inbox.Identity{Job: e.Job, ID: e.ID}
	}
	return a.deps.Inbox.Purge(ctx, list)
}

// readAge returns a duration of a form, 0 if it is not there.
func readAge(values url.Values, name string) (time.Duration, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	age, err := time.ParseDuration(text)
	if err != nil || age < 0 {
		return 0, badRequest("The parameter " + name + " must be a duration such as 24h.")
	}
	return age, nil
}
