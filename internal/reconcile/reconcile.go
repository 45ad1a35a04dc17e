// Package reconcile finds the results of jobs whose callbacks got lost: it asks the vendor about every job that
// was registered and whose callback has not come, and puts what it finds into the inbox as if it had come.
package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

const (
	// interval is how often it is looked for jobs whose time has come.
	interval = time.Second
	// batch is how many jobs are asked about in a row.
	batch = 64
	// lease is how long a replica has for its batch, before others take it over: short, because that is how long what a
	// killed replica had in hand is left alone. A question that lasts longer may be asked twice, which costs a call.
	lease = 20 * time.Second
)

// Store is where expectations are.
type Store interface {
	Track(ctx context.Context, jobs []string, first, horizon time.Time) ([]jobs.Job, error)
	AcquireDue(ctx context.Context, lease time.Duration, limit int) ([]jobs.Job, error)
	Reschedule(ctx context.Context, id string, next time.Time, asked bool, detail string) error
	Resolve(ctx context.Context, id string, state jobs.State, e event.ID, detail string) (settled bool, err error)
	ReleaseLeases(ctx context.Context) error
}

// Inbox takes what is found.
type Inbox interface {
	Accept(ctx context.Context, e event.Event) (event.Receipt, error)
}

// Vendor is asked.
type Vendor interface {
	Result(ctx context.Context, job string, looks ...deepimage.Look) (deepimage.Verdict, error)
}

// Deps is what the reconciler works with.
type Deps struct {
	Store       Store
	Inbox       Inbox
	Vendor      Vendor
	Concurrency int // questions at the same time
	Log         zerolog.Logger
}

// Reconciler asks the vendor from Start until Stop.
type Reconciler struct {
	*background.Service
	Deps
	metrics

	config Config
	every  time.Duration
}

// New returns a reconciler that is not started.
func New(config Config, deps Deps) *Reconciler {
	every := min(interval, max(config.After/4, time.Millisecond))
	r := &Reconciler{config: config, Deps: deps, metrics: newMetrics(), every: every}
	r.Service = background.New("reconcile", background.Loop{
		Pass:   r.round,
		Failed: func(err error) { deps.Log.Error().Err(err).Msg("reconciling jobs failed, will retry") },
	})
	return r
}

// Expect registers jobs from now on.
func (r *Reconciler) Track(ctx context.Context, jobs []string) ([]jobs.Job, error) {
	now := time.Now()
	return r.Store.Track(ctx, jobs, now.Add(r.config.After), now.Add(r.config.Horizon))
}

// Start frees the jobs that an earlier process of this replica had leased, and begins to ask.
func (r *Reconciler) Start(ctx context.Context) error {
	if err := r.Store.ReleaseLeases(ctx); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	r.Service.Start()
	return nil
}

// round asks about the jobs that are due, and returns the pause until the next round.
func (r *Reconciler) round(ctx context.Context) (time.Duration, error) {
	leaseEnd := time.Now().Add(lease)
	due, err := r.Store.AcquireDue(ctx, lease, batch)
	if err != nil {
		return r.every, err
	}
	var group errgroup.Group
	group.SetLimit(max(r.Concurrency, 1))
	for _, expected := range due {
		group.Go(func() error {
			if time.Now().After(leaseEnd) {
				return nil // another replica may have it now
			}
			return r.ask(ctx, expected)
		})
	}
	if err := group.Wait(); err != nil || len(due) < batch {
		return r.every, err
	}
	return 0, nil // there may be more
}

// ask finds out what became of one job.
func (r *Reconciler) ask(ctx context.Context, expected jobs.Job) error {
	if expected.Job == "" {
		return r.nameless(ctx, expected)
	}
	verdict, err := r.Vendor.Result(ctx, expected.Job) // at nobody's cost, and remembered for the verification that follows
	if err != nil {
		return r.unanswered(ctx, expected, err)
	}
	switch verdict.State {
	case deepimage.Complete:
		return r.found(ctx, expected, verdict)
	case deepimage.Failed:
		return r.settle(ctx, expected, jobs.Failed, "", "Deep Image could not make the image. "+verdict.Message)
	case deepimage.Deleted:
		return r.settle(ctx, expected, jobs.Expired, "", "Deep Image has deleted the images of the job.")
	case deepimage.Unknown:
		return r.later(ctx, expected, "Deep Image does not know the job.")
	default:
		return r.later(ctx, expected, fmt.Sprintf("Deep Image says that the job is %q.", verdict.Status))
	}
}

// nameless gives up a submission at its horizon of which nobody knows what to ask for. What is said of it stays.
func (r *Reconciler) nameless(ctx context.Context, expected jobs.Job) error {
	if time.Now().Before(expected.Horizon) {
		return r.putOff(ctx, expected, expected.Horizon, false, expected.Detail)
	}
	return r.settle(ctx, expected, jobs.Lost, "", cmp.Or(expected.Detail, "Which job it is was never said, and its callback has not come."))
}

// unanswered has the job asked about again, also beyond the horizon: only what the vendor says can make it lost.
func (r *Reconciler) unanswered(ctx context.Context, expected jobs.Job, cause error) error {
	if deepimage.KindOf(cause) == deepimage.KindCancelled { // the receiver stops; whoever starts next asks
		return nil
	}
	return r.again(ctx, expected, deepimage.AfterOf(cause), cause.Error())
}

// again is for a round in which nothing was learnt.
func (r *Reconciler) again(ctx context.Context, expected jobs.Job, pause time.Duration, detail string) error {
	return r.putOff(ctx, expected, time.Now().Add(r.pause(expected, pause)), false, detail)
}

// pause is the time until the next question, at least as long as the vendor asks for.
func (r *Reconciler) pause(expected jobs.Job, least time.Duration) time.Duration {
	return background.Jitter(max(least, background.Backoff(r.config.After, longestPause, expected.Polls)))
}

// found puts the result into the inbox, where the callback may be already.
func (r *Reconciler) found(ctx context.Context, expected jobs.Job, verdict deepimage.Verdict) error {
	e, err := callback(expected.Job, verdict.ResultURL)
	if err != nil {
		return err
	}
	receipt, err := r.Inbox.Accept(ctx, e)
	if err != nil {
		return errors.Join(err, r.again(ctx, expected, 0, "The result is found and could not be stored yet."))
	}
	if receipt.Duplicate {
		return r.settle(ctx, expected, jobs.Arrived, receipt.ID, "")
	}
	return r.settle(ctx, expected, jobs.Reconciled, receipt.ID, "")
}

// callback is what the vendor would have sent, so far as that can be known. Its identity is that of a callback
// of the documented shape: if that comes later, it is a repeat.
func callback(job, resultURL string) (event.Event, error) {
	body, err := json.Marshal(struct {
		Job       string  `json:"job"`
		Data      *string `json:"data"`
		ResultURL string  `json:"result_url"`
		Results   *string `json:"results"`
	}{Job: job, ResultURL: resultURL})
	if err != nil {
		return event.Event{}, fmt.Errorf("reconcile: %w", err)
	}
	e, err := event.Decode(body)
	if err != nil {
		return event.Event{}, fmt.Errorf("reconcile: %w", err)
	}
	e.Received, e.Origin = time.Now().UTC().Truncate(time.Microsecond), event.OriginReconciled
	return e, nil
}

// later has a job asked about again that the vendor has no result of, or gives it up at the horizon.
func (r *Reconciler) later(ctx context.Context, expected jobs.Job, detail string) error {
	now := time.Now()
	if !now.Before(expected.Horizon) {
		return r.settle(ctx, expected, jobs.Lost, "", detail)
	}
	next := now.Add(r.pause(expected, 0))
	if next.After(expected.Horizon) {
		next = expected.Horizon // one last time
	}
	return r.putOff(ctx, expected, next, true, detail)
}

// putOff writes it down also when the receiver stops.
func (r *Reconciler) putOff(ctx context.Context, expected jobs.Job, next time.Time, asked bool, detail string) error {
	return r.Store.Reschedule(context.WithoutCancel(ctx), expected.ID, next, asked, detail)
}

// settle writes down what became of a job, and says it: any of these but an arrival means that callbacks get lost. If its
// callback has come meanwhile there is nothing to say; that a result was found stays to be said also when the relay was quicker
// to write it down.
func (r *Reconciler) settle(ctx context.Context, expected jobs.Job, state jobs.State, id event.ID, detail string) error {
	settled, err := r.Store.Resolve(context.WithoutCancel(ctx), expected.ID, state, id, detail)
	if err != nil || !settled && state != jobs.Reconciled {
		return err
	}
	r.outcomes.WithLabelValues(string(state)).Inc()
	level := zerolog.WarnLevel
	if state == jobs.Arrived {
		level = zerolog.DebugLevel
	}
	r.Log.WithLevel(level).Str("job", expected.Job).Str("event", string(id)).Str("outcome", string(state)).Str("detail", detail).
		Int("polls", expected.Polls).Float64("since_registered_s", time.Since(expected.Created).Seconds()).Msg("callback did not come")
	return nil
}
