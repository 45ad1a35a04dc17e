package executor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

const (
	// deferralInterval is the pause between two looks for deferred steps whose time has come.
	deferralInterval = time.Second
	// deferralBusyInterval is the pause after a look that resumed steps.
	deferralBusyInterval = 50 * time.Millisecond
	// deferralPending is how many steps of a name may wait for a worker before others stay deferred: if the target fails again,
	// no more than these are deferred anew.
	deferralPending = 500
	// recheckInterval is the time for each quarantined event that is verified again by itself. It bounds the calls that forged
	// callbacks cost the vendor's API: one a second in each process, whatever the number of the events.
	recheckInterval = time.Second
	// minDeferrals is how often a step is deferred before isAlone doubts the outage.
	minDeferrals = 3
)

// deferral resumes deferred steps: each when its time has come, and all of a name as soon as an attempt shows that the target
// answers again.
type deferral struct {
	work  Work
	names []string

	rechecked time.Time // when quarantined events were last looked for

	mutex   sync.Mutex
	answers map[string]bool // names whose target answered at the latest attempt
}

func newDeferral(work Work, steps []Step) *deferral {
	d := &deferral{work: work, answers: map[string]bool{}}
	for _, step := range steps {
		d.names = append(d.names, step.Name)
	}
	return d
}

// service returns the loop that resumes steps.
func (d *deferral) service(log zerolog.Logger) *background.Service {
	return background.New("executor", background.Loop{
		Pass:   d.resumeAll,
		Failed: func(err error) { log.Error().Err(err).Msg("resuming deferred steps failed, will retry") },
	})
}

// observe records what an attempt shows about its target: that it answers, or that it does not. A failure of the event
// itself (fail, quarantine) is an answer. An attempt that was not made, or of a disabled target, shows nothing.
func (d *deferral) observe(name string, failure *handler.Error) {
	answers := failure == nil
	if failure != nil {
		switch failure.Action {
		case event.ActionDisable:
			return
		case event.ActionDefer:
			if failure.Cause != event.CauseOutage {
				return
			}
		case event.ActionFail, event.ActionQuarantine:
			answers = true
		}
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.answers[name] = answers
}

func (d *deferral) isAnswering(name string) bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.answers[name]
}

// isAlone reports whether a step still fails by a supposed outage while others of its name succeed. Then the fault may be
// of its event. Only outages without a delay of their own are in doubt.
func (d *deferral) isAlone(name string, attempt workflow.Attempt, failure *handler.Error) bool {
	return failure != nil && failure.Action == event.ActionDefer && failure.Cause == event.CauseOutage && failure.Delay == 0 &&
		free(attempt) >= minDeferrals && d.isAnswering(name)
}

// resumeAll resumes what may run, of every name, and returns the pause that follows. A name that fails does not hold up the others.
func (d *deferral) resumeAll(ctx context.Context) (time.Duration, error) {
	var failures []error
	pause := deferralInterval
	for _, name := range d.names {
		n, err := d.work.Resume(ctx, name, d.isAnswering(name), deferralPending)
		if err != nil {
			failures = append(failures, err)
		}
		if n > 0 {
			pause = deferralBusyInterval
		}
	}
	return pause, errors.Join(append(failures, d.recheck(ctx))...)
}

// recheck makes at most one quarantined step of each name run again, once in each recheckInterval.
func (d *deferral) recheck(ctx context.Context) error {
	if time.Since(d.rechecked) < recheckInterval {
		return nil
	}
	d.rechecked = time.Now()
	var failures []error
	for _, name := range d.names {
		_, err := d.work.Recheck(ctx, name, 1)
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
