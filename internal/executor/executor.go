// Package executor runs one step of one event: it loads the event, runs the
// handler under a deadline, decides what its error means, records the outcome
// and writes one line about it.
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
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

// recordTimeout bounds the recording of an outcome, which goes on when the attempt's own time is over.
const recordTimeout = 30 * time.Second

// Work is where attempts are begun and recorded, and steps parked.
type Work interface {
	Begin(ctx context.Context, job queue.Job) (workflow.Attempt, error)
	Finish(ctx context.Context, attempt workflow.Attempt, result workflow.Result) (workflow.Result, error)
	Resume(ctx context.Context, handler string, all bool, limit int) (int, error)
}

// Bodies is where the bodies of events are.
type Bodies interface {
	Body(ctx context.Context, job string, id event.ID) ([]byte, error)
}

// Step is a handler with its name and bounds.
type Step struct {
	Name    string
	Handler handler.Handler
	Limits  handler.Limits
}

// Executor runs steps. It is safe for use by many goroutines.
type Executor struct {
	*background.Service // resumes deferred steps from Start to Stop

	config   Config
	work     Work
	bodies   Bodies
	steps    map[string]Step
	deferral *deferral
	metrics  *metrics
	log      zerolog.Logger
}

// New makes a executor of the given steps.
func New(config Config, work Work, bodies Bodies, steps []Step, log zerolog.Logger) *Executor {
	byName := make(map[string]Step, len(steps))
	for _, step := range steps {
		byName[step.Name] = step
	}
	d := newDeferral(work, steps)
	return &Executor{
		Service: d.service(log),
		config:  config, work: work, bodies: bodies, steps: byName, deferral: d, metrics: newMetrics(), log: log,
	}
}

// Run works on one job, as the queue hands it out. The error says only whether
// the job is to come again: a failed attempt that is recorded is no error.
func (p *Executor) Run(ctx context.Context, job queue.Job) error {
	step, known := p.steps[job.Handler]
	if !known {
		return fmt.Errorf("executor: no handler %q is configured", job.Handler)
	}
	attempt, err := p.work.Begin(ctx, job)
	if errors.Is(err, workflow.ErrFinished) || errors.Is(err, workflow.ErrNotFound) || errors.Is(err, workflow.ErrDeferred) {
		return nil // delivered once more, as after a crash; or its target is disabled
	}
	if early, ok := errors.AsType[*workflow.NotYetError](err); ok {
		return &queue.Snooze{Duration: early.After}
	}
	if err != nil {
		p.log.Error().Err(err).Str("event", string(job.Event)).Str("handler", job.Handler).Msg("step could not begin")
		return err
	}
	result := p.try(ctx, step, attempt)
	return p.record(ctx, attempt, result)
}

// try makes the attempt and decides what follows from it.
func (p *Executor) try(ctx context.Context, step Step, attempt workflow.Attempt) workflow.Result {
	if attempt.Tries > p.config.MaxAttempts { // possible when attempts end in crashes
		return workflow.Result{
			State: event.Dead, Action: event.ActionFail, Reason: event.ReasonOther,
			Detail: fmt.Sprintf("Tried %d times without an answer; the process may have died in it.", attempt.Tries-1),
		}
	}
	limited, cancel := context.WithTimeout(ctx, step.Limits.Timeout)
	defer cancel()
	outcome, err := p.handle(limited, step, attempt)
	if err != nil && ctx.Err() != nil {
		return workflow.Result{
			State: event.Pending, Artifacts: outcome.Artifacts,
			Detail: "Interrupted because the receiver stopped; it goes on at the next start.",
		}
	}
	p.deferral.observe(step.Name, handler.Classify(err))
	return decide(p.config, attempt, outcome, err, time.Now(), rand.Float64())
}

// handle runs the handler; a panic in it is a failed attempt and not the end of the process.
func (p *Executor) handle(ctx context.Context, step Step, attempt workflow.Attempt) (outcome handler.Outcome, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.log.Error().Str("event", string(attempt.Event)).Str("handler", step.Name).
				Interface("panic", cause).Bytes("stack", debug.Stack()).Msg("handler panicked")
			err = handler.Retry(event.ReasonOther, errors.New("the handler failed inside; the log says where"))
		}
	}()
	e, err := p.load(ctx, attempt)
	if err != nil {
		return handler.Outcome{}, err
	}
	return step.Handler.Handle(ctx, e)
}

// load reads the event as it came in.
func (p *Executor) load(ctx context.Context, attempt workflow.Attempt) (event.Event, error) {
	body, err := p.bodies.Body(ctx, attempt.Job, attempt.Event)
	if errors.Is(err, inbox.ErrNotFound) {
		return event.Event{}, handler.Fail(event.ReasonStorage, errors.New("the inbox does not have the body of this event: it was lost, or restored from an older copy"))
	}
	if err != nil {
		return event.Event{}, handler.Retry(event.ReasonStorage, errors.New("the body of the event could not be read from the inbox"))
	}
	e, err := event.Decode(body)
	if err != nil {
		return event.Event{}, handler.Fail(event.ReasonOther, errors.New("the stored body is no event any more"))
	}
	e.ID, e.Received, e.Artifacts = attempt.Event, attempt.Received, attempt.Artifacts
	e.Source, e.Origin, e.Attempt, e.Recheck = attempt.Source, attempt.Origin, attempt.Number, attempt.Recheck
	if attempt.ResultURL != "" { // the vendor's own word; the body's counts no more
		e.ResultURL, e.Results = attempt.ResultURL, nil
	}
	return e, nil
}

// record writes the outcome down. What cannot be recorded comes again.
func (p *Executor) record(ctx context.Context, attempt workflow.Attempt, result workflow.Result) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	result, err := p.work.Finish(ctx, attempt, result)
	if errors.Is(err, workflow.ErrStale) {
		p.log.Warn().Str("event", string(attempt.Event)).Str("handler", attempt.Handler).Int("attempt", attempt.Number).
			Msg("outcome refused: another attempt has taken over")
		return nil
	}
	if err != nil {
		p.log.Error().Err(err).Str("event", string(attempt.Event)).Str("handler", attempt.Handler).Msg("outcome could not be recorded")
		return err
	}
	p.logFinished(attempt, result)
	p.metrics.count(attempt, result)
	switch {
	case result.IsDeferred():
		return nil // Resume inserts another job
	case result.State == event.Retrying:
		return &queue.Snooze{Duration: max(0, time.Until(result.NextAt))}
	case result.State == event.Pending:
		return &queue.Snooze{}
	default:
		return nil
	}
}
