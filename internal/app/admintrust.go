package app

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
)

// VerifyAgain asks the vendor once more about a quarantined event.
func (b *backOffice) VerifyAgain(ctx context.Context, id event.ID) error {
	return missing(b.app.work.Workflow.VerifyAgain(ctx, id))
}

// Release lets a quarantined event go on.
func (b *backOffice) Release(ctx context.Context, id event.ID) error {
	return missing(b.app.work.Workflow.Release(ctx, id))
}

// Quarantined counts all that are quarantined.
func (b *backOffice) Quarantined(ctx context.Context) (int, error) {
	return b.app.work.Workflow.Quarantined(ctx)
}

// VerifyAllAgain asks about all that are quarantined.
func (b *backOffice) VerifyAllAgain(ctx context.Context) (int, error) {
	return b.app.work.Workflow.VerifyAllAgain(ctx)
}

// ReleaseAll lets all go on that are quarantined.
func (b *backOffice) ReleaseAll(ctx context.Context) (int, error) {
	return b.app.work.Workflow.ReleaseAll(ctx)
}

// TrackJobs registers jobs whose callbacks are expected.
func (b *backOffice) TrackJobs(ctx context.Context, ids []string) ([]admin.Job, error) {
	if b.app.lookout == nil {
		return nil, admin.ErrNoKey
	}
	found, err := b.app.lookout.Track(ctx, ids)
	return jobsOf(found), err
}

// ListJobs lists tracked jobs.
func (b *backOffice) ListJobs(ctx context.Context, state, before string, limit int) ([]admin.Job, error) {
	found, err := b.app.work.Jobs.List(ctx, jobs.State(state), before, limit)
	return jobsOf(found), err
}

// FindJob returns one.
func (b *backOffice) FindJob(ctx context.Context, id string) (admin.Job, error) {
	found, err := b.app.work.Jobs.Find(ctx, id)
	if err != nil {
		return admin.Job{}, missing(err)
	}
	return jobsOf([]jobs.Job{found})[0], nil
}

// CountJobs counts them.
func (b *backOffice) CountJobs(ctx context.Context) (map[string]int64, error) {
	counts, err := b.app.work.Jobs.Counts(ctx)
	named := make(map[string]int64, len(counts))
	for state, n := range counts {
		named[string(state)] = n
	}
	return named, err
}

func jobsOf(found []jobs.Job) []admin.Job {
	list := make([]admin.Job, 0, len(found))
	for _, e := range found {
		list = append(list, admin.Job{
			ID: e.ID, Job: e.Job, Origin: string(e.Origin), State: string(e.State), Created: e.Created, Next: optional(e.NextAt),
			Horizon: e.Horizon, Polls: e.Polls, Event: e.Event, Detail: e.Detail, Settled: optional(e.Resolved),
		})
	}
	return list
}
