// Package executor runs one step of one event: it loads the event, runs the handler with a deadline, decides what follows
// from its error, records the result and logs one line about it.
package executor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

// recordTimeout bounds the recording of a result, which continues after the deadline of the attempt.
const recordTimeout = 30 * time.Second

// Work begins and finishes attempts and resumes deferred steps.
type Work interface {
	attempts
	resumer
	Now() time.Time // by the clock of the database
}

type attempts interface {
	Begin(ctx context.Context, job queue.Job) (workflow.Attempt, error)
	BeginAlone(ctx context.Context, job queue.Job, alone bool) (workflow.Attempt, error)
	NotAlone(ctx context.Context, attempt workflow.Attempt) error
	Finish(ctx context.Context, attempt workflow.Attempt, result workflow.Result) (workflow.Result, error)
}

type resumer interface {
	Resume(ctx context.Context, handler string, all bool, limit int) (int, error)
	Recheck(ctx context.Context, handler string, limit int) (int, error)
}

// Bodies returns the stored bodies of events.
type Bodies interface {
	Body(ctx context.Context, job string, id event.ID) ([]byte, error)
}

// Step is a handler with its name and limits.
type Step struct {
	Name    string
	Handler handler.Handler
	Limits  handler.Limits
}

// Executor runs steps. It is safe for concurrent use.
type Executor struct {
	*background.Service // resumes deferred steps from Start to Stop

	config   Config
	work     Work
	bodies   Bodies
	memory   *memory.Part // for bodies
	steps    map[string]Step
	deferral *deferral
	metrics  *metrics
	log      zerolog.Logger
	warnings warnings
	gate     gate
}

// New returns an executor of these steps.
func New(config Config, work Work, bodies Bodies, memory *memory.Part, steps []Step, log zerolog.Logger) *Executor {
	byName := make(map[string]Step, len(steps))
	for _, step := range steps {
		byName[step.Name] = step
	}
	d := newDeferral(work, steps)
	return &Executor{
		Service: d.service(log),
		config:  config, work: work, bodies: bodies, memory: memory, steps: byName, deferral: d, metrics: newMetrics(), log: log,
	}
}

// Run runs the step of one job of the queue. An error means that the queue must run the job again: a failed attempt that is
// recorded is not an error.
func (x *Executor) Run(ctx context.Context, job queue.Job) error {
	step, known := x.steps[job.Handler]
	if !known {
		return fmt.Errorf("executor: no handler %q is configured", job.Handler)
	}
	if err := x.gate.enter(ctx); err != nil {
		return &queue.Snooze{} // the receiver stops
	}
	attempt, err := x.work.Begin(ctx, job)
	if errors.Is(err, workflow.ErrCrashProne) {
		x.gate.leave()
		return x.runAlone(ctx, step, job)
	}
	defer x.gate.leave()
	if err != nil {
		return x.refused(job, err)
	}
	return x.record(ctx, attempt, x.try(ctx, step, attempt))
}

// refused returns what follows if a step does not begin.
func (x *Executor) refused(job queue.Job, err error) error {
	if errors.Is(err, workflow.ErrFinished) || errors.Is(err, workflow.ErrNotFound) || errors.Is(err, workflow.ErrDeferred) {
		return nil // run once more, for example after a crash; or its target is disabled
	}
	if early, ok := errors.AsType[*workflow.NotYetError](err); ok {
		return &queue.Snooze{Duration: early.After}
	}
	x.log.Error().Err(err).Str("event", string(job.Event)).Str("handler", job.Handler).Msg("beginning step failed, will retry")
	return err
}

// try runs the attempt and decides what follows.
func (x *Executor) try(ctx context.Context, step Step, attempt workflow.Attempt) workflow.Result {
	if attempt.Tries > x.config.MaxAttempts { // possible after crashes
		return workflow.Result{
			State: event.Dead, Action: event.ActionFail, Reason: event.ReasonOther,
			Detail: fmt.Sprintf("The process crashed during %d attempts, in which no other step ran.", attempt.Tries-1),
		}
	}
	limited, cancel := context.WithTimeout(ctx, step.Limits.Timeout)
	defer cancel()
	outcome, err := x.handle(limited, step, attempt)
	if err != nil && ctx.Err() != nil {
		return workflow.Result{
			State: event.Pending, Artifacts: outcome.Artifacts,
			Detail: "Interrupted because the receiver stopped; it runs again at the next start.",
		}
	}
	failure := handler.Classify(err)
	if x.deferral.isAlone(step.Name, attempt, failure) {
		err = handler.Retry(failure.Reason, failure.Err)
	} else {
		x.deferral.observe(step.Name, failure)
	}
	return decide(x.config, attempt, outcome, err, x.work.Now(), rand.Float64())
}

// handle runs the handler. A panic is a failed attempt.
func (x *Executor) handle(ctx context.Context, step Step, attempt workflow.Attempt) (outcome handler.Outcome, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			x.log.Error().Str("event", string(attempt.Event)).Str("handler", step.Name).
				Interface("panic", cause).Bytes("stack", debug.Stack()).Msg("handler panicked")
			err = handler.Retry(event.ReasonOther, errors.New("the handler panicked; the log has the stack"))
		}
	}()
	lease, err := x.memory.AcquireLoad(ctx, attempt.Bytes)
	if err != nil {
		return handler.Outcome{}, handler.Defer(memoryDelay, event.CauseStep, event.ReasonOther,
			errors.New("too many large bodies were processed at the same time"))
	}
	defer lease.Release()
	e, err := x.load(ctx, attempt)
	if err != nil {
		return handler.Outcome{}, err
	}
	if len(e.Defects) == 0 { // a body with defects is copied again where it is redacted
		lease.Shrink(attempt.Bytes)
	}
	return step.Handler.Handle(ctx, e)
}

// memoryDelay is the pause after a step got no memory within its time.
const memoryDelay = 10 * time.Second

// load decodes the stored body of the event and adds what is recorded about it.
func (x *Executor) load(ctx context.Context, attempt workflow.Attempt) (event.Event, error) {
	body, err := x.bodies.Body(ctx, attempt.Job, attempt.Event)
	if errors.Is(err, inbox.ErrNotFound) {
		return event.Event{}, handler.Fail(event.ReasonStorage,
			errors.New("the inbox does not have the body of this event: it was lost, or restored from an older copy"))
	}
	if err != nil {
		return event.Event{}, handler.OutageOfStep(event.ReasonStorage, errors.New("reading the body of the event from the inbox failed"))
	}
	if len(body) == 0 {
		return event.Event{}, handler.Fail(event.ReasonStorage, errors.New("the body of this event was removed"))
	}
	e, err := event.Decode(body)
	if err != nil {
		return event.Event{}, handler.Fail(event.ReasonOther, errors.New("the stored body is not a valid event"))
	}
	e.ID, e.Received, e.Artifacts = attempt.Event, attempt.Received, attempt.Artifacts
	e.Names, e.Source, e.Origin, e.Attempt, e.Recheck = attempt.Names, attempt.Source, attempt.Origin, attempt.Number, attempt.Recheck
	e, _ = e.Renew(attempt.Renewed)
	if attempt.ResultURL != "" { // reported by the vendor, so that of the body is ignored
		e, _, _ = e.Confirm(attempt.ResultURL)
	}
	return e, nil
}

// record records the result. If that fails, the queue runs the job again.
func (x *Executor) record(ctx context.Context, attempt workflow.Attempt, result workflow.Result) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	result, err := x.work.Finish(ctx, attempt, result)
	if errors.Is(err, workflow.ErrStale) {
		x.log.Warn().Str("event", string(attempt.Event)).Str("handler", attempt.Handler).Int("attempt", attempt.Number).
			Msg("result refused, a later attempt has begun")
		return nil
	}
	if err != nil {
		x.log.Error().Err(err).Str("event", string(attempt.Event)).Str("handler", attempt.Handler).Msg("recording result failed, will retry")
		return err
	}
	x.logFinished(attempt, result)
	if attempt.Probe && result.State == event.Done {
		x.log.Warn().Str("target", attempt.Handler).Msg("target enabled, it accepted a probe")
	}
	x.metrics.count(attempt, result)
	switch {
	case result.IsDeferred():
		return nil // Resume inserts another job
	case result.State == event.Retrying:
		return &queue.Snooze{Duration: max(0, result.NextAt.Sub(x.work.Now()))}
	case result.State == event.Pending:
		return &queue.Snooze{}
	default:
		return nil
	}
}
