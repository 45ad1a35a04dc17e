package admin

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/go-chi/chi/v5"
)

// Target is a step that can be disabled and enabled.
type Target struct {
	workflow.Target
	Enabled    bool `json:"enabled"`
	Configured bool `json:"configured"`
	// Unattended are the steps that no worker runs, because the handler is not configured.
	Unattended int       `json:"unattended"`
	Kept       time.Time `json:"kept_at,omitzero"` // since when an operator keeps them
	KeptBy     string    `json:"kept_by,omitempty"`
}

// targets lists the configured steps in their order, then those that only the store knows.
func (a *Admin) targets(ctx context.Context) ([]Target, error) {
	found, err := a.deps.Workflow.Targets(ctx)
	if err != nil {
		return nil, err
	}
	list := []Target{}
	for _, name := range a.deps.Handlers {
		list = append(list, Target{Target: workflow.Target{Name: name}, Enabled: true, Configured: true})
	}
	entry := func(name string) *Target {
		at := slices.IndexFunc(list, func(t Target) bool { return t.Name == name })
		if at < 0 {
			at = len(list)
			list = append(list, Target{Target: workflow.Target{Name: name}, Enabled: true})
		}
		return &list[at]
	}
	for _, f := range found {
		t := entry(f.Name)
		t.Target, t.Enabled = f, f.Disabled.IsZero()
		if !t.Enabled {
			t.NextAt = time.Time{}
		}
	}
	return list, a.addUnattended(ctx, entry)
}

// addUnattended adds the steps of handlers that are not configured. entry returns the target of a name.
func (a *Admin) addUnattended(ctx context.Context, entry func(name string) *Target) error {
	counts, err := a.deps.Workflow.Unattended(ctx, a.deps.Handlers)
	if err != nil || len(counts) == 0 {
		return err
	}
	kept, err := a.deps.Workflow.Kept(ctx)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		t := entry(name)
		t.Unattended, t.Kept, t.KeptBy = counts[name], kept[name].At, kept[name].By
	}
	return err
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
	target, err := a.target(r)
	name := target.Name
	switch {
	case err != nil:
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

// target returns the target that a request names.
func (a *Admin) target(r *http.Request) (Target, error) {
	name := chi.URLParam(r, "name")
	known, err := a.targets(r.Context())
	if err != nil {
		return Target{}, err
	}
	at := slices.IndexFunc(known, func(t Target) bool { return t.Name == name })
	if at < 0 {
		return Target{}, database.ErrNotFound
	}
	return known[at], nil
}

// dropTarget answers POST targets/{name}/drop. It continues when the client disconnects, so that no part is left.
func (a *Admin) dropTarget(_ http.ResponseWriter, r *http.Request) (result, error) {
	target, err := a.target(r)
	if err != nil {
		return result{}, err
	}
	by := operator(r)
	steps, err := a.deps.Workflow.Drop(context.WithoutCancel(r.Context()), workflow.Drop{Handler: target.Name, Open: !target.Configured, By: by})
	if err == nil || steps > 0 {
		a.deps.Log.Warn().Str("target", target.Name).Int("steps", steps).Str("by", by).Msg("steps of target given up")
	}
	body := struct {
		Name  string `json:"name"`
		Steps int    `json:"steps"`
	}{target.Name, steps}
	return result{body: body, page: "/", notice: noticeDropped, count: steps}, err
}

// keepTarget answers POST targets/{name}/keep.
func (a *Admin) keepTarget(_ http.ResponseWriter, r *http.Request) (result, error) {
	target, err := a.target(r)
	if err != nil {
		return result{}, err
	}
	if target.Configured {
		return result{}, &problem.Error{Code: problem.CodeConflict, Detail: "The handler is configured: its steps run by themselves."}
	}
	by := operator(r)
	if err := a.deps.Workflow.Keep(r.Context(), target.Name, by); err != nil {
		return result{}, err
	}
	a.deps.Log.Info().Str("target", target.Name).Int("steps", target.Unattended).Str("by", by).Msg("steps of target kept")
	body := struct {
		Name  string `json:"name"`
		Steps int    `json:"steps"`
	}{target.Name, target.Unattended}
	return result{body: body, page: "/", notice: noticeKept, count: target.Unattended}, nil
}

// maxOperator is the maximum length of the name of an operator, in bytes.
const maxOperator = 100

// operator returns who makes a request: the parameter by, or the user name of Basic authentication, and the client IP.
func operator(r *http.Request) string {
	user, _, _ := r.BasicAuth()
	name := sanitize.Line(cmp.Or(r.URL.Query().Get("by"), user, "an operator"), maxOperator)
	if client := clientIP(r); client.IsValid() {
		name += " from " + client.String()
	}
	return name
}
