package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

const (
	// maxRenewals bounds the renewals that wait; a further one is dropped.
	maxRenewals = 1000
	// renewalInterval is the pause after which what could not be recorded is tried again, for renewalTime.
	renewalInterval = time.Second
	renewalTime     = 10 * time.Minute
	renewalTimeout  = 10 * time.Second // of one
)

// renewals record the newly signed result URLs of duplicate callbacks. They are kept in memory, so that no callback waits for the work
// store; what a restart loses, the next duplicate brings again.
type renewals struct {
	*background.Service

	app     *App
	enabled bool // the receiver fetches results
	wake    chan struct{}
	mutex   sync.Mutex
	waiting map[event.ID]*renewal // the newest of each event
}

type renewal struct {
	workflow.Renewal

	until time.Time
	set   bool // the URL is recorded, but the step was running
}

func newRenewals(a *App) *renewals {
	r := &renewals{app: a, enabled: slices.Contains(a.stepNames(), handler.Download), wake: make(chan struct{}, 1), waiting: map[event.ID]*renewal{}}
	r.Service = background.New("renewals", background.Loop{
		Pass: r.pass, Wake: r.wake,
		Failed: func(err error) { a.log.Warn().Err(err).Msg("recording renewed result url failed, will retry") },
	})
	return r
}

// add adds a URL. It does not block.
func (r *renewals) add(first event.ID, job, resultURL string) {
	if !r.enabled {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, known := r.waiting[first]; !known && len(r.waiting) >= maxRenewals {
		return
	}
	r.waiting[first] = &renewal{
		Renewal: workflow.Renewal{Event: first, Job: job, Handler: handler.Download, URL: resultURL}, until: time.Now().Add(renewalTime),
	}
	select {
	case r.wake <- struct{}{}:
	default: // is awake
	}
}

// pass records what waits, and keeps what has to be tried again.
func (r *renewals) pass(ctx context.Context) (time.Duration, error) {
	var failures []error
	for _, each := range r.list() {
		switch err := r.record(ctx, each); {
		case errors.Is(err, workflow.ErrRunning):
			each.set = true
		case errors.Is(err, workflow.ErrNotFound): // not relayed yet
		case err != nil:
			failures = append(failures, err)
		default:
			r.remove(each)
		}
		if time.Now().After(each.until) {
			r.remove(each)
		}
	}
	return renewalInterval, errors.Join(failures...)
}

func (r *renewals) list() []*renewal {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	list := make([]*renewal, 0, len(r.waiting))
	for _, each := range r.waiting {
		list = append(list, each)
	}
	return list
}

// remove removes a renewal, unless a newer one has its place.
func (r *renewals) remove(done *renewal) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.waiting[done.Event] == done {
		delete(r.waiting, done.Event)
	}
}

// record records a URL, unless it is that of the body or is not needed.
func (r *renewals) record(ctx context.Context, each *renewal) error {
	ctx, cancel := context.WithTimeout(ctx, renewalTimeout)
	defer cancel()
	bytes, err := r.app.work.Workflow.RenewableBytes(ctx, each.Renewal)
	if errors.Is(err, workflow.ErrFinished) {
		return nil
	}
	if err != nil {
		return err
	}
	if isKnown, err := r.isOfBody(ctx, each, bytes); err != nil || isKnown {
		return err
	}
	return r.app.work.Workflow.Renew(ctx, each.Renewal, each.set)
}

// isOfBody reports whether the body of the event has the URL: then its callback was repeated as it was.
func (r *renewals) isOfBody(ctx context.Context, each *renewal, bytes int64) (bool, error) {
	lease, err := r.app.memory.Work.AcquireLoad(ctx, bytes)
	if err != nil {
		return false, err
	}
	defer lease.Release()
	body, err := r.app.inbox.Body(ctx, each.Job, each.Event)
	if errors.Is(err, inbox.ErrNotFound) {
		return true, nil // nothing can be done for the event
	}
	if err != nil {
		return false, err
	}
	first, err := event.Decode(body)
	if err != nil {
		return true, nil // likewise
	}
	images, _ := first.Images()
	return len(images) != 1 || images[0].URL == each.URL, nil
}
