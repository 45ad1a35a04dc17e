package executor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for something that has to happen.
const patience = 30 * time.Second

// script is a handler that does what the test says, attempt by attempt.
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

// house is everything between the inbox and a handler, with real stores.
type house struct {
	inbox    *inbox.Inbox
	work     *workflowtest.Stores
	queue    *queue.Queue
	relay    *relay.Relay
	executor *executor.Executor
	log      *testkit.Log
	stopped  sync.Once
}

var quick = executor.Config{MaxAttempts: 3, MaxAge: time.Hour, MinDelay: 10 * time.Millisecond, MaxDelay: 20 * time.Millisecond}

// shortly is the time of an attempt that is meant to run out.
const shortly = 300 * time.Millisecond

func build(t *testing.T, place *databasetest.Place, config executor.Config, timeout time.Duration, names []string, scripts ...script) *house {
	t.Helper()
	stores := place.Open(t)
	must(t, first(inbox.Migrate(t.Context(), stores.Inbox)))
	must(t, first(schema.Migrate(t.Context(), stores.Work)))
	must(t, first(queue.Migrate(t.Context(), stores.Queue)))
	h := &house{log: &testkit.Log{}}
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
	h.inbox, err = inbox.Open(t.Context(), stores.Inbox, inbox.Config{MaxBatch: 512, MaxBacklog: 1000, MaxRejections: 1, MaxRejectionsBytes: 1000})
	must(t, err)
	h.queue, err = queue.Open(stores.Queue, queue.Config{Lease: time.Minute}, lanes, slog.New(slog.DiscardHandler))
	must(t, err)
	h.work = workflowtest.New(t, stores.Work, h.queue)
	h.executor = executor.New(config, h.work.Workflow, h.inbox, steps, zerolog.New(h.log))
	h.relay = relay.New(relay.Config{
		Inbox: h.inbox, Workflow: h.work.Workflow, OneDatabase: place.Kind == database.Postgres, Stages: stages, Log: zerolog.New(h.log),
	})
	return h
}

func (h *house) start(t *testing.T) {
	t.Helper()
	must(t, h.queue.Start(t.Context(), h.executor.Run))
	h.relay.Start()
	h.executor.Start()
	t.Cleanup(func() { h.stop(t) })
}

func (h *house) stop(t *testing.T) {
	t.Helper()
	h.stopped.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(h.relay.Stop(ctx), h.executor.Stop(ctx), h.queue.Stop(ctx), h.inbox.Close()); err != nil {
			t.Error(err)
		}
	})
}

func (h *house) accept(t *testing.T, job string) event.ID {
	t.Helper()
	e, err := event.Decode(fmt.Appendf(nil, `{"job":%q,"data":null,"result_url":"https://deep-image.ai/images/1.png","results":null}`, job))
	must(t, err)
	e.Received = time.Now()
	receipt, err := h.inbox.Accept(t.Context(), e)
	must(t, err)
	return receipt.ID
}

// settled waits until the event is in one of the states.
func (h *house) settled(t *testing.T, id event.ID, want ...event.Status) history.Details {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("log:\n%s", h.log)
		}
	}()
	return testkit.Settled(t, fmt.Sprintf("event %s in one of the states %v", id, want),
		func() (history.Details, error) { return h.work.History.Load(t.Context(), id) },
		func(details history.Details) bool { return slices.Contains(want, details.Event.State) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func first(_ int64, err error) error { return err }

func TestVerdicts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		secretFree := errors.New("the image is gone")
		rows := []struct {
			name     string
			script   script
			state    event.Status
			reason   event.Reason
			attempts int
			detail   string
		}{
			{
				"done", func(context.Context, int, event.Event) (handler.Outcome, error) { return handler.Outcome{}, nil },
				event.Done, "", 1, "",
			},
			{"skipped", func(context.Context, int, event.Event) (handler.Outcome, error) {
				return handler.Outcome{Skipped: true}, nil
			}, event.Done, "", 1, ""},
			{"permanent", func(context.Context, int, event.Event) (handler.Outcome, error) {
				return handler.Outcome{}, handler.Fail(event.ReasonExpired, secretFree)
			}, event.Dead, event.ReasonExpired, 1, "the image is gone"},
			{"second attempt succeeds", func(_ context.Context, attempt int, _ event.Event) (handler.Outcome, error) {
				if attempt == 1 {
					return handler.Outcome{}, handler.Retry(event.ReasonServerError, secretFree)
				}
				return handler.Outcome{}, nil
			}, event.Done, "", 2, ""},
			{"never succeeds", func(context.Context, int, event.Event) (handler.Outcome, error) {
				return handler.Outcome{}, handler.RetryAfter(time.Millisecond, event.ReasonRateLimited, secretFree)
			}, event.Dead, event.ReasonRateLimited, 3, "given up after 3 attempts"},
			{"ready at last", func(_ context.Context, attempt int, _ event.Event) (handler.Outcome, error) {
				if attempt < 6 {
					return handler.Outcome{}, handler.Hold(time.Millisecond, event.ReasonOther, secretFree)
				}
				return handler.Outcome{}, nil
			}, event.Done, "", 6, ""},
			{"plain error", func(context.Context, int, event.Event) (handler.Outcome, error) {
				return handler.Outcome{}, secretFree
			}, event.Dead, event.ReasonOther, 3, "the image is gone"},
			{"hangs", func(ctx context.Context, _ int, _ event.Event) (handler.Outcome, error) {
				<-ctx.Done()
				return handler.Outcome{}, ctx.Err()
			}, event.Dead, event.ReasonTimeout, 3, "deadline"},
			{
				"panics", func(context.Context, int, event.Event) (handler.Outcome, error) { panic("boom") },
				event.Dead, event.ReasonOther, 3, "failed inside",
			},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				h := build(t, databasetest.NewPlace(t, place.Kind), quick, shortly, []string{"download"}, row.script)
				h.start(t)
				details := h.settled(t, h.accept(t, "job-1"), event.Done, event.Dead)
				step := details.Steps[0]
				if details.Event.State != row.state || step.Reason != row.reason || len(step.Attempts) != row.attempts || !strings.Contains(step.Detail, row.detail) {
					t.Errorf("got %+v", details)
				}
				h.stop(t) // the last line is written after the last record
				if got := strings.Count(h.log.String(), `"step finished"`); got != row.attempts {
					t.Errorf("%d lines for %d attempts:\n%s", got, row.attempts, h.log)
				}
			})
		}
	})
}

func TestOldStepsAreGivenUp(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		config := quick
		config.MaxAge = time.Nanosecond
		h := build(t, place, config, patience, []string{"download"}, func(context.Context, int, event.Event) (handler.Outcome, error) {
			return handler.Outcome{}, errors.New("not yet")
		})
		h.start(t)
		details := h.settled(t, h.accept(t, "job-1"), event.Dead)
		if step := details.Steps[0]; len(step.Attempts) != 1 || !strings.Contains(step.Detail, "given up after") {
			t.Errorf("got %+v", step)
		}
	})
}

func TestStepsRunInOrderAndSeeWhatWasStored(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		artifact := event.Artifact{Handler: "download", Key: "k", Stored: time.UnixMicro(1)}
		var seen []event.Artifact
		store := func(context.Context, int, event.Event) (handler.Outcome, error) {
			return handler.Outcome{Artifacts: []event.Artifact{artifact}}, nil
		}
		look := func(_ context.Context, _ int, e event.Event) (handler.Outcome, error) {
			seen = e.Artifacts
			return handler.Outcome{}, nil
		}
		h := build(t, place, quick, patience, []string{"download", "forward"}, store, look)
		h.start(t)
		h.settled(t, h.accept(t, "job-1"), event.Done)
		if len(seen) != 1 || seen[0].Key != "k" {
			t.Errorf("the second handler saw %+v", seen)
		}
	})
}

// A handler whose target hangs keeps its own lane busy and no other.
func TestLanesAreIndependent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		release := make(chan struct{})
		config := quick
		h := build(t, place, config, patience, []string{"download", "forward"},
			func(context.Context, int, event.Event) (handler.Outcome, error) { return handler.Outcome{}, nil },
			func(ctx context.Context, _ int, _ event.Event) (handler.Outcome, error) {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return handler.Outcome{}, nil
			})
		h.start(t)
		var last event.ID
		for n := range 20 { // five times as many as the hanging lane has workers
			last = h.accept(t, fmt.Sprint("job-", n))
		}
		deadline := time.After(patience)
		for {
			details, err := h.work.History.Load(t.Context(), last)
			if err == nil && details.Steps[0].State == event.Done {
				break
			}
			select {
			case <-deadline:
				t.Fatal("the first handler was held up by the second")
			case <-time.After(5 * time.Millisecond):
			}
		}
		close(release)
		h.settled(t, last, event.Done)
	})
}

// What the process was working on when it stopped goes on at the next start and costs no try.
func TestStopInterrupts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		running := make(chan struct{}, 10)
		h := build(t, place, quick, patience, []string{"download"}, func(ctx context.Context, _ int, _ event.Event) (handler.Outcome, error) {
			running <- struct{}{}
			<-ctx.Done()
			return handler.Outcome{}, ctx.Err()
		})
		must(t, h.queue.Start(t.Context(), h.executor.Run))
		h.relay.Start()
		id := h.accept(t, "job-1")
		<-running
		must(t, h.relay.Stop(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // less than the step's own time
		defer cancel()
		must(t, h.queue.Stop(ctx))
		must(t, h.inbox.Close())
		details, err := h.work.History.Load(t.Context(), id)
		must(t, err)
		if step := details.Steps[0]; step.State != event.Pending || step.Tries != 0 {
			t.Errorf("got %+v", step)
		}
	})
}
