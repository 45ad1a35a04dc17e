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

// stepArgs is what a job carries.
type stepArgs struct {
	Event   event.ID `json:"event"`
	Handler string   `json:"handler"`
}

// Kind is River's name for this sort of job.
func (stepArgs) Kind() string { return "step" }

// worker turns River's calls into ours.
type worker struct {
	river.WorkerDefaults[stepArgs]
	run  Run
	lost *lost
}

// Work runs one job.
func (w *worker) Work(ctx context.Context, job *river.Job[stepArgs]) error {
	release, held := w.lost.hold(job.ID)
	if !held {
		return river.JobSnooze(lookForLostEvery)
	}
	defer release()
	err := w.run(ctx, Job{Event: job.Args.Event, Handler: job.Args.Handler})
	if later, ok := errors.AsType[*Later](err); ok {
		return river.JobSnooze(later.After)
	}
	return err
}

// soon is when a job comes again whose outcome could not be recorded: the store
// failed, and everybody will be back at once when it works again.
type soon struct{}

// NextRetry gives a time 5 to 15 seconds from now.
func (soon) NextRetry(*rivertype.JobRow) time.Time {
	return time.Now().Add(5*time.Second + rand.N(10*time.Second))
}
