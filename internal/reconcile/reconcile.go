// Package reconcile finds the results of jobs whose callbacks were lost. It asks the vendor about each tracked job without a
// callback, and accepts what it finds into the inbox as if the callback had come.
package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

const (
	// interval is the longest pause between two looks for due jobs.
	interval = time.Second
	// batch is the number of jobs in a look.
	batch = 64
	// lease is how long other replicas leave a batch to this one: short, because the jobs of a killed replica wait for its end.
	// A question that takes longer may be asked twice, which costs one call.
	lease = 20 * time.Second
	// maxPause is the longest pause between two questions about a job.
	maxPause = time.Hour
)

// Config is how long the reconciler waits for callbacks.
type Config struct {
	After   time.Duration `envconfig:"AFTER" default:"2m" range:"1s..24h" desc:"time after which Deep Image is asked about a tracked job without callback; the pauses between further questions start with it and double"`
	Horizon time.Duration `envconfig:"HORIZON" default:"24h" range:"1m..720h" desc:"time after which a tracked job with neither callback nor result is marked lost"`
}

// Validate returns an error if the values contradict each other.
func (c Config) Validate() error {
	if c.Horizon < c.After {
		return &configtypes.Conflict{Name: "HORIZON", Text: "must be at least RECONCILE_AFTER"}
	}
	return nil
}

// Store keeps the tracked jobs.
type Store interface { //nolint:interfacebloat // one store
	Now() time.Time // by the clock of the database
	Track(ctx context.Context, jobs []string, first, horizon time.Time) ([]jobs.Job, error)
	AcquireDue(ctx context.Context, lease time.Duration, limit int) ([]jobs.Job, error)
	Reschedule(ctx context.Context, id string, next time.Time, asked bool, detail string) error
	Resolve(ctx context.Context, id string, state jobs.State, e event.ID, detail string) (resolved bool, err error)
	ReleaseLeases(ctx context.Context) error
}

// Inbox accepts the events of results that were found.
type Inbox interface {
	Accept(ctx context.Context, e event.Event) (event.Receipt, error)
}

// Vendor answers questions about jobs.
type Vendor interface {
	Result(ctx context.Context, job string, looks ...deepimage.LookupOption) (deepimage.JobStatus, error)
}

// Deps is what a Reconciler works with.
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

	config   Config
	deps     Deps
	pause    time.Duration          // between two looks
	outcomes *prometheus.CounterVec // resolved jobs; those that are not arrived show that callbacks get lost
}

// New returns a reconciler that is not started.
func New(config Config, deps Deps) *Reconciler {
	r := &Reconciler{config: config, deps: deps, pause: min(interval, max(config.After/4, time.Millisecond))}
	r.outcomes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "receiver_reconciled_total", Help: "Jobs whose callbacks did not come in time, by what was found when Deep Image was asked.",
	}, []string{"outcome"})
	for _, state := range []jobs.State{jobs.Arrived, jobs.Reconciled, jobs.Failed, jobs.Expired, jobs.Lost} {
		r.outcomes.WithLabelValues(string(state)) // so that the first one shows as an increase
	}
	r.Service = background.New("reconcile", background.Loop{
		Pass:   r.reconcileDue,
		Failed: func(err error) { deps.Log.Error().Err(err).Msg("reconciling jobs failed, will retry") },
	})
	return r
}

// Collectors returns the metrics of the reconciler.
func (r *Reconciler) Collectors() []prometheus.Collector { return []prometheus.Collector{r.outcomes} }

// Track starts to wait for the callbacks of jobs.
func (r *Reconciler) Track(ctx context.Context, jobs []string) ([]jobs.Job, error) {
	now := r.deps.Store.Now()
	return r.deps.Store.Track(ctx, jobs, now.Add(r.config.After), now.Add(r.config.Horizon))
}

// Start releases the jobs that an earlier process had leased, and begins to ask.
func (r *Reconciler) Start(ctx context.Context) error {
	if err := r.deps.Store.ReleaseLeases(ctx); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	r.Service.Start()
	return nil
}

// reconcileDue reconciles a batch of due jobs, and returns the pause until the next one.
func (r *Reconciler) reconcileDue(ctx context.Context) (time.Duration, error) {
	leaseEnd := time.Now().Add(lease)
	due, err := r.deps.Store.AcquireDue(ctx, lease, batch)
	if err != nil {
		return r.pause, err
	}
	var group errgroup.Group
	group.SetLimit(max(r.deps.Concurrency, 1))
	for _, job := range due {
		group.Go(func() error {
			if time.Now().After(leaseEnd) {
				return nil // another replica may have it now
			}
			return r.reconcile(ctx, job)
		})
	}
	if err := group.Wait(); err != nil || len(due) < batch {
		return r.pause, err
	}
	return 0, nil // there may be more
}

// reconcile asks the vendor about one job, accepts its result and records the decision.
func (r *Reconciler) reconcile(ctx context.Context, job jobs.Job) error {
	var a answer
	if job.Job != "" {
		a.JobStatus, a.Err = r.deps.Vendor.Result(ctx, job.Job)
		if a.Err == nil && a.JobStatus.State == deepimage.Complete {
			a.Receipt, a.InboxErr = r.accept(ctx, job, a.JobStatus.ResultURL)
		}
	}
	if deepimage.KindOf(a.Err) == deepimage.KindCancelled { // the next process asks again
		return nil
	}
	d := decide(r.config, job, a, r.deps.Store.Now(), background.Jitter)
	recording := context.WithoutCancel(ctx) // what the vendor answered counts, also while the receiver stops
	if d.State == "" {
		return errors.Join(a.InboxErr, r.deps.Store.Reschedule(recording, job.ID, d.Next, d.Polled, d.Detail))
	}
	resolved, err := r.deps.Store.Resolve(recording, job.ID, d.State, a.Receipt.ID, d.Detail)
	// The callback or the relay may have resolved the job meanwhile. A result that was found here counts all the same.
	if err != nil || !resolved && d.State != jobs.Reconciled {
		return err
	}
	r.report(job, d, a.Receipt.ID)
	return nil
}

// answer is what the vendor and the inbox answered about a job.
type answer struct {
	JobStatus deepimage.JobStatus
	Err       error         // of the vendor
	Receipt   event.Receipt // of the inbox, if the job is complete
	InboxErr  error
}

// decision is what follows for a job: a state that resolves it, or another question.
type decision struct {
	State  jobs.State // "" to ask again
	Next   time.Time  // when to ask again
	Polled bool       // the vendor answered that the job is not ready
	Detail string
}

// decide returns what follows from an answer. It depends on its arguments only; jitter lengthens a pause.
func decide(config Config, job jobs.Job, a answer, now time.Time, jitter func(time.Duration) time.Duration) decision {
	pause := background.Backoff(config.After, maxPause, job.Polls)
	detail := fmt.Sprintf("Deep Image reports the job as %q.", a.JobStatus.Status)
	switch {
	case job.Job == "" && now.Before(job.Horizon): // it was submitted, and there is no answer that names it
		return decision{Next: job.Horizon, Detail: job.Detail}
	case job.Job == "":
		return decision{State: jobs.Lost, Detail: cmp.Or(job.Detail, "Deep Image did not return the id of the job, and no callback came.")}
	case a.Err != nil: // also beyond the horizon: only an answer can show that a job is lost
		return decision{Next: now.Add(jitter(max(pause, deepimage.AfterOf(a.Err)))), Detail: a.Err.Error()}
	case a.InboxErr != nil:
		return decision{Next: now.Add(jitter(pause)), Detail: "The result was found but could not be stored yet."}
	case a.JobStatus.State == deepimage.Complete && a.Receipt.Duplicate:
		return decision{State: jobs.Arrived}
	case a.JobStatus.State == deepimage.Complete:
		return decision{State: jobs.Reconciled}
	case a.JobStatus.State == deepimage.Failed:
		return decision{State: jobs.Failed, Detail: "Deep Image could not make the image. " + a.JobStatus.Message}
	case a.JobStatus.State == deepimage.Deleted:
		return decision{State: jobs.Expired, Detail: "Deep Image has deleted the images of the job."}
	case a.JobStatus.State == deepimage.Unknown:
		detail = "Deep Image does not know the job."
	}
	if !now.Before(job.Horizon) {
		return decision{State: jobs.Lost, Detail: detail}
	}
	next := now.Add(jitter(pause))
	if next.After(job.Horizon) {
		next = job.Horizon // for the last question
	}
	return decision{Next: next, Polled: true, Detail: detail}
}

// accept stores the callback that the vendor would have sent. Its body has the documented shape, so that the callback, if it
// comes later, is a duplicate.
func (r *Reconciler) accept(ctx context.Context, job jobs.Job, resultURL string) (event.Receipt, error) {
	body, err := json.Marshal(struct {
		Job       string  `json:"job"`
		Data      *string `json:"data"`
		ResultURL string  `json:"result_url"`
		Results   *string `json:"results"`
	}{Job: job.Job, ResultURL: resultURL})
	if err != nil {
		return event.Receipt{}, fmt.Errorf("reconcile: %w", err)
	}
	e, err := event.Decode(body)
	if err != nil {
		return event.Receipt{}, fmt.Errorf("reconcile: %w", err)
	}
	e.Received, e.Origin, e.Names = time.Now().UTC().Truncate(time.Microsecond), event.OriginReconciled, job.Names
	return r.deps.Inbox.Accept(ctx, e)
}

// report counts and logs a resolved job. Each but an arrived one is a warning: callbacks get lost.
func (r *Reconciler) report(job jobs.Job, d decision, id event.ID) {
	r.outcomes.WithLabelValues(string(d.State)).Inc()
	level := zerolog.WarnLevel
	if d.State == jobs.Arrived {
		level = zerolog.DebugLevel
	}
	r.deps.Log.WithLevel(level).Str("job", job.Job).Str("event", string(id)).Str("outcome", string(d.State)).Str("detail", d.Detail).
		Int("polls", job.Polls).Float64("since_registered_s", time.Since(job.Created).Seconds()).Msg("callback did not come")
}
