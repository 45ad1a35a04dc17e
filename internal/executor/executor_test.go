package executor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

// script is a handler that depends on the number of the attempt.
type script func(ctx context.Context, attempt int, e event.Event) (handler.Outcome, error)

// scripted counts the attempts per event and runs the script.
type scripted struct {
	script   script
	mutex    sync.Mutex
	attempts map[event.ID]int
}

func (s *scripted) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	s.mutex.Lock()
	s.attempts[e.ID]++
	attempt := s.attempts[e.ID]
	s.mutex.Unlock()
	return s.script(ctx, attempt, e)
}

// pipeline is everything from the inbox to the handlers, with real stores.
type pipeline struct {
	inbox    *inbox.Inbox
	work     *workflowtest.Stores
	queue    *queue.Queue
	relay    *relay.Relay
	executor *executor.Executor
	log      *testkit.Log
	stopped  sync.Once
}

var quick = executor.Config{MaxAttempts: 3, MaxAge: time.Hour, MinDelay: 10 * time.Millisecond, MaxDelay: 20 * time.Millisecond}

// shortTimeout is for attempts that must reach their deadline.
const shortTimeout = 300 * time.Millisecond

func build(t *testing.T, place *databasetest.Place, config executor.Config, timeout time.Duration, names []string, scripts ...script) *pipeline {
	t.Helper()
	stores := place.Open(t)
	p := &pipeline{log: &testkit.Log{}}
	var lanes []queue.HandlerQueue
	var steps []executor.Step
	var stages [][]string
	for i, name := range names {
		limits := handler.Limits{Concurrency: 4, Timeout: timeout}
		stages = append(stages, []string{name})
		lanes = append(lanes, queue.HandlerQueue{Handler: name, Concurrency: limits.Concurrency})
		steps = append(steps, executor.Step{Name: name, Limits: limits, Handler: &scripted{script: scripts[i], attempts: map[event.ID]int{}}})
	}
	var err error
	p.inbox, err = inbox.Open(t.Context(), stores.Inbox, inbox.Config{MaxBatch: 512, MaxBacklog: 1000, MaxRejections: 1, MaxRejectionsBytes: 1000})
	must(t, err)
	p.queue, err = queue.Open(stores.Queue, queue.Config{Lease: time.Minute}, lanes, slog.New(slog.DiscardHandler))
	must(t, err)
	p.work = workflowtest.New(t, stores.Work, p.queue)
	p.executor = executor.New(config, p.work.Workflow, p.inbox, nil, steps, zerolog.New(p.log))
	p.relay = relay.New(relay.Config{
		Inbox: p.inbox, Workflow: p.work.Workflow, OneDatabase: place.Kind == database.Postgres, Stages: stages, Log: zerolog.New(p.log),
	})
	return p
}

func (p *pipeline) start(t *testing.T) {
	t.Helper()
	must(t, p.queue.Start(t.Context(), p.executor.Run))
	p.relay.Start()
	p.executor.Start()
	t.Cleanup(func() { p.stop(t) })
}

func (p *pipeline) stop(t *testing.T) {
	t.Helper()
	p.stopped.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
		defer cancel()
		if err := errors.Join(p.relay.Stop(ctx), p.executor.Stop(ctx), p.queue.Stop(ctx), p.inbox.Close()); err != nil {
			t.Error(err)
		}
	})
}

func (p *pipeline) accept(t *testing.T, job string) event.ID {
	t.Helper()
	e, err := event.Decode(fmt.Appendf(nil, `{"job":%q,"data":null,"result_url":"https://deep-image.ai/images/1.png","results":null}`, job))
	must(t, err)
	e.Received = time.Now()
	receipt, err := p.inbox.Accept(t.Context(), e)
	must(t, err)
	return receipt.ID
}

// await waits until the event is in one of the states.
func (p *pipeline) await(t *testing.T, id event.ID, want ...event.Status) history.Details {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("log:\n%s", p.log)
		}
	}()
	return testkit.WaitFor(t, fmt.Sprintf("event %s in one of the states %v", id, want),
		func() (history.Details, error) { return p.work.History.Load(t.Context(), id) },
		func(details history.Details) bool { return slices.Contains(want, details.Event.State) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		broken := errors.New("broken")
		always := func(outcome handler.Outcome, err error) script {
			return func(context.Context, int, event.Event) (handler.Outcome, error) { return outcome, err }
		}
		until := func(attempt int, err error) script {
			return func(_ context.Context, n int, _ event.Event) (handler.Outcome, error) {
				if n < attempt {
					return handler.Outcome{}, err
				}
				return handler.Outcome{}, nil
			}
		}
		rows := []struct {
			name     string
			script   script
			state    event.Status
			reason   event.Reason
			attempts int
		}{
			{name: "done", script: always(handler.Outcome{}, nil), state: event.Done, attempts: 1},
			{name: "skipped", script: always(handler.Outcome{Skipped: true}, nil), state: event.Done, attempts: 1},
			{
				name: "fails", script: always(handler.Outcome{}, handler.Fail(event.ReasonExpired, broken)),
				state: event.Dead, reason: event.ReasonExpired, attempts: 1,
			},
			{name: "second attempt succeeds", script: until(2, handler.Retry(event.ReasonServerError, broken)), state: event.Done, attempts: 2},
			{
				name: "never succeeds", script: always(handler.Outcome{}, handler.RetryAfter(time.Millisecond, event.ReasonRateLimited, broken)),
				state: event.Dead, reason: event.ReasonRateLimited, attempts: 3,
			},
			{name: "held until ready", script: until(6, handler.Hold(time.Millisecond, event.ReasonOther, broken)), state: event.Done, attempts: 6},
			{name: "unclassified error", script: always(handler.Outcome{}, broken), state: event.Dead, reason: event.ReasonOther, attempts: 3},
			{name: "reaches the deadline", script: func(ctx context.Context, _ int, _ event.Event) (handler.Outcome, error) {
				<-ctx.Done()
				return handler.Outcome{}, ctx.Err()
			}, state: event.Dead, reason: event.ReasonTimeout, attempts: 3},
			{
				name:   "panics",
				script: func(context.Context, int, event.Event) (handler.Outcome, error) { panic("boom") },
				state:  event.Dead, reason: event.ReasonOther, attempts: 3,
			},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				p := build(t, storetest.NewPlace(t, place.Kind), quick, shortTimeout, []string{"download"}, row.script)
				p.start(t)
				details := p.await(t, p.accept(t, "job-1"), event.Done, event.Dead)
				step := details.Steps[0]
				if details.Event.State != row.state || step.Reason != row.reason || len(step.Attempts) != row.attempts {
					t.Errorf("state = %s, reason = %q, attempts = %d, want %s, %q, %d",
						details.Event.State, step.Reason, len(step.Attempts), row.state, row.reason, row.attempts)
				}
				p.stop(t) // the last line is logged after the last record
				if got := len(p.log.Records(t, "message", "step finished")); got != row.attempts {
					t.Errorf("log lines of attempts = %d, want %d:\n%s", got, row.attempts, p.log)
				}
			})
		}
	})
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		config := quick
		config.MaxAge = time.Nanosecond
		p := build(t, place, config, testkit.Timeout, []string{"download"}, func(context.Context, int, event.Event) (handler.Outcome, error) {
			return handler.Outcome{}, errors.New("not yet")
		})
		p.start(t)
		details := p.await(t, p.accept(t, "job-1"), event.Dead)
		if step := details.Steps[0]; len(step.Attempts) != 1 || step.State != event.Dead {
			t.Errorf("step = %+v, want dead after 1 attempt", step)
		}
	})
}

func TestStepsRunInOrderWithArtifacts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		artifact := event.Artifact{Handler: "download", Key: "k", Stored: time.UnixMicro(1)}
		var seen []event.Artifact
		store := func(context.Context, int, event.Event) (handler.Outcome, error) {
			return handler.Outcome{Artifacts: []event.Artifact{artifact}}, nil
		}
		read := func(_ context.Context, _ int, e event.Event) (handler.Outcome, error) {
			seen = e.Artifacts
			return handler.Outcome{}, nil
		}
		p := build(t, place, quick, testkit.Timeout, []string{"download", "forward"}, store, read)
		p.start(t)
		p.await(t, p.accept(t, "job-1"), event.Done)
		if len(seen) != 1 || seen[0].Key != "k" {
			t.Errorf("artifacts of the second handler = %+v, want the one with key k", seen)
		}
	})
}

// A handler that hangs occupies only its own queue.
func TestQueuesAreIndependent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		release := make(chan struct{})
		config := quick
		p := build(t, place, config, testkit.Timeout, []string{"download", "forward"},
			func(context.Context, int, event.Event) (handler.Outcome, error) { return handler.Outcome{}, nil },
			func(ctx context.Context, _ int, _ event.Event) (handler.Outcome, error) {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return handler.Outcome{}, nil
			})
		p.start(t)
		var last event.ID
		for n := range 20 { // five times as many as the hanging queue has workers
			last = p.accept(t, fmt.Sprint("job-", n))
		}
		testkit.WaitFor(t, "the first step of the last event done",
			func() (history.Details, error) { return p.work.History.Load(t.Context(), last) },
			func(details history.Details) bool { return details.Steps[0].State == event.Done })
		close(release)
		p.await(t, last, event.Done)
	})
}

// An attempt that is interrupted by a stop does not count and is pending.
func TestStopInterrupts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		running := make(chan struct{}, 10)
		p := build(t, place, quick, testkit.Timeout, []string{"download"}, func(ctx context.Context, _ int, _ event.Event) (handler.Outcome, error) {
			running <- struct{}{}
			<-ctx.Done()
			return handler.Outcome{}, ctx.Err()
		})
		must(t, p.queue.Start(t.Context(), p.executor.Run))
		p.relay.Start()
		id := p.accept(t, "job-1")
		<-running
		must(t, p.relay.Stop(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // less than the step's own time
		defer cancel()
		must(t, p.queue.Stop(ctx))
		must(t, p.inbox.Close())
		details, err := p.work.History.Load(t.Context(), id)
		must(t, err)
		if step := details.Steps[0]; step.State != event.Pending || step.Tries != 0 {
			t.Errorf("step = %+v, want pending, 0 tries", step)
		}
	})
}

// A8: a quarantined event is verified again by itself, also more often than the maximum of attempts.
func TestQuarantineIsRechecked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		const unknown = 4
		p := build(t, place, oneTry, testkit.Timeout, []string{"verify"}, func(_ context.Context, n int, _ event.Event) (handler.Outcome, error) {
			if n <= unknown {
				return handler.Outcome{}, handler.Quarantine(event.ReasonNotVerified, errors.New("unknown"))
			}
			return handler.Outcome{}, nil
		})
		p.start(t)
		id := p.accept(t, "job-1")
		for n := range unknown {
			testkit.WaitFor(t, "quarantined again", func() (history.Details, error) { return p.work.History.Load(t.Context(), id) },
				func(h history.Details) bool {
					return h.Event.State == event.Quarantined && len(h.Steps[0].Attempts) == n+1
				})
			_, err := p.work.DB.Writer.ExecContext(t.Context(), "UPDATE steps SET next_at = 0 WHERE event_id = $1 AND next_at IS NOT NULL", id)
			must(t, err)
		}
		p.await(t, id, event.Done)
	})
}
