package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// stepArgs are the arguments of River's jobs.
type stepArgs struct {
	Event   event.ID `json:"event"`
	Handler string   `json:"handler"`
}

// Kind returns River's name for jobs with these arguments.
func (stepArgs) Kind() string { return "step" }

// worker passes River's jobs to Run.
type worker struct {
	river.WorkerDefaults[stepArgs]
	run      Run
	inFlight *inFlight
	slots    map[string]*slots // of each handler; nil in Postgres, where River fetches no more jobs than may run
}

// Work runs one job.
func (w *worker) Work(ctx context.Context, job *river.Job[stepArgs]) error {
	release, ok := w.inFlight.acquire(job.ID)
	if !ok {
		return river.JobSnooze(confirmAfter)
	}
	defer release()
	if limit := w.slots[job.Args.Handler]; limit != nil {
		if !limit.acquire(ctx, job.Priority == latePriority) {
			return river.JobSnooze(0) // the queue stops
		}
		defer limit.release()
	}
	err := w.run(ctx, Job{Event: job.Args.Event, Handler: job.Args.Handler})
	if snooze, ok := errors.AsType[*Snooze](err); ok {
		return river.JobSnooze(snooze.Duration)
	}
	return err
}

// retryPolicy spreads the retries of jobs whose outcome could not be recorded: when the database works again, all of them
// return.
type retryPolicy struct{ now func() time.Time }

// NextRetry returns a time 5 to 15 seconds from now.
func (p retryPolicy) NextRetry(*rivertype.JobRow) time.Time {
	return p.now().Add(5*time.Second + rand.N(10*time.Second))
}
