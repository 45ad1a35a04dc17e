package app

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

const (
	renewalBatch = 100 // renewals of one pass
	// renewalInterval is the pause while renewals wait; renewalPoll is that after which those of another replica are found.
	renewalInterval = time.Second
	renewalPoll     = 30 * time.Second
	renewalTimeout  = 10 * time.Second // of one
	// renewalAge is how long a renewal waits for its event, or for the end of a running step.
	renewalAge = 24 * time.Hour
)

// renewals carry the newly signed result URLs of repeated callbacks from the inbox into the work store.
type renewals struct {
	*background.Service

	app  *App
	last event.ID // of the latest batch; "" to begin with the first
}

func newRenewals(a *App) *renewals {
	r := &renewals{app: a}
	r.Service = background.New("renewals", background.Loop{
		Pass: r.pass, Wake: a.inbox.RenewalsWaiting(),
		Failed: func(err error) { a.log.Warn().Err(err).Msg("recording renewed result url failed, will retry") },
	})
	return r
}

// pass records the next batch. What has to be tried again stays until the passes begin with the first again.
func (r *renewals) pass(ctx context.Context) (time.Duration, error) {
	list, err := r.app.inbox.Renewals(ctx, r.last, renewalBatch)
	if err != nil {
		return renewalInterval, err
	}
	begun := r.last == ""
	r.last = ""
	if len(list) == renewalBatch {
		r.last = list[len(list)-1].Event
	}
	var failures []error
	for _, each := range list {
		err := r.record(ctx, each.Renewal)
		waits := errors.Is(err, workflow.ErrRunning) || errors.Is(err, workflow.ErrNotFound) // not relayed yet
		if err != nil && !waits {
			failures = append(failures, err)
		} else if !waits || time.Since(each.Received) > renewalAge {
			failures = append(failures, r.app.inbox.DeleteRenewal(ctx, each))
		}
	}
	if len(list) == 0 && begun {
		return renewalPoll, nil
	}
	return renewalInterval, errors.Join(failures...)
}

// record records URLs, unless they are those of the body or are not needed.
func (r *renewals) record(ctx context.Context, renewal event.Renewal) error {
	ctx, cancel := context.WithTimeout(ctx, renewalTimeout)
	defer cancel()
	bytes, err := r.app.work.Workflow.RenewableBytes(ctx, renewal)
	if errors.Is(err, workflow.ErrFinished) {
		return nil
	}
	if err != nil {
		return err
	}
	if isNew, err := r.areNew(ctx, renewal, bytes); err != nil || !isNew {
		return err
	}
	return r.app.work.Workflow.Renew(ctx, renewal)
}

// areNew reports whether the body of the event has the same results with other signatures: else its callback was repeated as it was.
func (r *renewals) areNew(ctx context.Context, renewal event.Renewal, bytes int64) (bool, error) {
	lease, err := r.app.memory.Work.AcquireLoad(ctx, bytes)
	if err != nil {
		return false, err
	}
	defer lease.Release()
	body, err := r.app.inbox.Body(ctx, renewal.Job, renewal.Event)
	if errors.Is(err, inbox.ErrNotFound) {
		return false, nil // nothing can be done for the event
	}
	if err != nil {
		return false, err
	}
	first, err := event.Decode(body)
	if err != nil {
		return false, nil
	}
	_, ok := first.Renew(renewal.URLs)
	return ok, nil
}
