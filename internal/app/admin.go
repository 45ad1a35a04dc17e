package app

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/thumbnail"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// buildAdmin makes the second door, behind which the stores answer.
func (a *App) buildAdmin(context.Context) error {
	thumbnails, err := thumbnail.New(filepath.Join(a.config.DataDir, thumbnailsName))
	if err != nil {
		return err
	}
	a.cleanups.addClose("thumbnails", thumbnails.Close)
	behind := a.answering()
	behind.Thumbnails = thumbnails
	if behind.Metrics, err = a.metricsHandler(behind.Counts.Get); err != nil {
		return err
	}
	return a.openAdmin(behind)
}

// answering is who answers behind the second door, out of the stores.
func (a *App) answering() admin.Deps {
	a.replayer = replay.New(replay.Deps{
		BulkReplays: a.work.BulkReplays, Events: a.work.History, Workflow: a.work.Workflow, Handlers: a.stepNames(), Log: a.log,
	})
	behind := &backOffice{app: a}
	return admin.Deps{
		Log: a.log, Events: behind, Replays: behind, Counts: admin.NewCounts(behind.Stats), Mark: behind.Mark, Rejections: a.inbox,
		Quarantine: behind, Tracked: behind, Jobs: behind, Sessions: a.work.sessions, Targets: behind, Artifacts: a.stored, Redact: event.Redact,
		Setup: behind,
	}
}

func (a *App) openAdmin(behind admin.Deps) error {
	door, err := admin.New(a.config.Admin, behind)
	if err != nil {
		return err
	}
	a.adminServer, err = httpserver.NewAdmin(a.config.HTTP, a.config.Admin.Addr, httpserver.AdminDeps{Log: a.log, Mount: door.Mount, End: door.End})
	return err
}

// backOffice answers the admin door out of the stores.
type backOffice struct{ app *App }

// List lists events.
func (b *backOffice) List(ctx context.Context, filter admin.Filter, before event.ID, limit int) ([]admin.Summary, error) {
	lines, err := b.app.work.History.Find(ctx, filterOf(filter), before, limit)
	if err != nil {
		return nil, err
	}
	list := make([]admin.Summary, 0, len(lines))
	for _, line := range lines {
		one := admin.Summary{
			ID: line.ID, Job: line.Job, Status: line.State, Received: line.Received, Bytes: line.Bytes,
			Handler: line.Failure.Handler, Reason: line.Failure.Reason, Detail: line.Failure.Detail, Images: line.Images,
		}
		if line.First >= 0 {
			one.First = new(line.First)
		}
		list = append(list, one)
	}
	return list, nil
}

func filterOf(f admin.Filter) history.Filter {
	return history.Filter{State: f.Status, Job: f.Job, Begins: f.Query, Handler: f.Handler, Reason: f.Reason, From: f.From, To: f.To}
}

// Load gives everything about one event.
func (b *backOffice) Load(ctx context.Context, id event.ID) (admin.Event, error) {
	h, err := b.app.work.History.Load(ctx, id)
	if err != nil {
		return admin.Event{}, missing(err)
	}
	found := admin.Event{
		ID: h.Event.ID, Job: h.Event.Job, Status: h.Event.State, Received: h.Event.Received, Bytes: h.Event.Bytes,
		Origin: h.Event.Origin, Verified: optional(h.Event.Verified), ResultURL: event.RedactURL(h.Event.ResultURL),
		Steps: make([]admin.Step, 0, len(h.Steps)), Artifacts: admin.Stored(h.Artifacts),
	}
	if h.Event.Source.IsValid() {
		found.Source = h.Event.Source.String()
	}
	for _, s := range h.Steps {
		step := admin.Step{
			Handler: s.Handler, Status: s.State, Reason: s.Reason, Detail: s.Detail, Tries: s.Tries,
			Changed: s.Changed, Next: optional(s.NextAt), Attempts: make([]admin.Attempt, 0, len(s.Attempts)),
		}
		for _, run := range s.Attempts {
			step.Attempts = append(step.Attempts, admin.Attempt{
				Number: run.Number, Started: run.Started, Finished: optional(run.Finished),
				Outcome: run.Outcome, Reason: run.Reason, Detail: run.Detail,
			})
		}
		found.Steps = append(found.Steps, step)
	}
	return found, nil
}

// Body gives the body of an event.
func (b *backOffice) Body(ctx context.Context, id event.ID) ([]byte, error) {
	job, err := b.app.work.History.Job(ctx, id)
	if err != nil {
		return nil, missing(err)
	}
	body, err := b.app.inbox.Body(ctx, job, id)
	return body, missing(err)
}

// Replay has steps of one event run again.
func (b *backOffice) Replay(ctx context.Context, id event.ID, handler string, finished bool) (int, error) {
	steps, err := b.app.work.Workflow.Replay(ctx, id, workflow.Replay{Handler: handler, Finished: finished})
	return steps, missing(err)
}

// Count counts the events that Begin would replay.
func (b *backOffice) Count(ctx context.Context, filter admin.Filter, limit int) (int, error) {
	return b.app.work.History.CountDead(ctx, filterOf(filter), limit)
}

// Begin replays many events.
func (b *backOffice) Begin(ctx context.Context, filter admin.Filter) error {
	dead, possible := filterOf(filter).OnlyDead()
	if !possible {
		return nil
	}
	err := b.app.replayer.Begin(ctx, dead)
	if errors.Is(err, replay.ErrBusy) {
		return errors.Join(admin.ErrBusy, err)
	}
	return err
}

// Progress tells of the latest replay of many events.
func (b *backOffice) Progress(ctx context.Context) (admin.Progress, error) {
	r, err := b.app.work.BulkReplays.Latest(ctx)
	if errors.Is(err, workflow.ErrNotFound) {
		return admin.Progress{}, nil
	}
	return admin.Progress{
		Running: err == nil && r.Finished.IsZero(), Events: r.Events, Steps: r.Steps, Failed: r.Failed,
		Started: optional(r.Begun), Finished: optional(r.Finished),
	}, err
}

// Mark changes whenever something does that the dashboard shows.
func (b *backOffice) Mark(ctx context.Context) (admin.Mark, error) {
	m, err := b.app.work.History.ChangeToken(ctx)
	if err != nil {
		return admin.Mark{}, err
	}
	rejected, err := b.app.inbox.Rejected(ctx)
	return admin.Mark{
		Newest: m.Newest, Counts: m.Counts, Deferred: m.Deferred, Disabled: m.Disabled, Rejected: rejected, Writes: m.Writes, Changed: m.Changed,
	}, err
}

// Targets lists the configured steps in their order, then those that only the store knows.
func (b *backOffice) Targets(ctx context.Context) ([]admin.Target, error) {
	found, err := b.app.work.Workflow.Targets(ctx)
	if err != nil {
		return nil, err
	}
	list := []admin.Target{}
	for _, name := range b.app.stepNames() {
		list = append(list, admin.Target{Name: name, Enabled: true})
	}
	for _, f := range found {
		at := slices.IndexFunc(list, func(t admin.Target) bool { return t.Name == f.Name })
		if at < 0 {
			at = len(list)
			list = append(list, admin.Target{Name: f.Name, Enabled: true})
		}
		list[at].Deferred, list[at].Reason, list[at].Detail = f.Deferred, f.Reason, f.Detail
		if f.Disabled.IsZero() {
			list[at].Next = optional(f.NextAt)
		} else {
			list[at].Enabled, list[at].Disabled = false, &f.Disabled
		}
	}
	return list, nil
}

// Disable parks what is for a target.
func (b *backOffice) Disable(ctx context.Context, name string) error {
	if err := b.knows(ctx, name); err != nil {
		return err
	}
	return b.app.work.Workflow.Disable(ctx, name, event.ReasonOther, "disabled by a person")
}

// Enable has a target sent to again.
func (b *backOffice) Enable(ctx context.Context, name string) error {
	if err := b.knows(ctx, name); err != nil {
		return err
	}
	_, err := b.app.work.Workflow.Enable(ctx, name)
	return err
}

func (b *backOffice) knows(ctx context.Context, name string) error {
	list, err := b.Targets(ctx)
	if err == nil && !slices.ContainsFunc(list, func(t admin.Target) bool { return t.Name == name }) {
		return admin.ErrNotFound
	}
	return err
}

// missing tells the door in its own words that something does not exist.
func missing(err error) error {
	if errors.Is(err, workflow.ErrFinished) {
		return errors.Join(admin.ErrSettled, err)
	}
	if errors.Is(err, workflow.ErrNotFound) || errors.Is(err, inbox.ErrNotFound) {
		return errors.Join(admin.ErrNotFound, err)
	}
	return err
}

func optional(moment time.Time) *time.Time {
	if moment.IsZero() {
		return nil
	}
	return &moment
}
