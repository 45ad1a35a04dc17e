package verification

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Verify is the first step of an event: it asks the vendor about the job. The event continues with the result URL that the
// vendor reports. It fetches nothing.
type Verify struct {
	metrics

	vendor  Vendor
	tracked Tracked
	grace   time.Duration
}

// Tracked reports whether the completion of a job is expected.
type Tracked func(ctx context.Context, job string) (bool, error)

// NewVerify returns the step. A job may be unknown to the API for the time grace after its callback, and for trackedGrace if it
// is tracked.
func NewVerify(vendor Vendor, tracked Tracked, grace time.Duration) *Verify {
	return &Verify{vendor: vendor, tracked: tracked, grace: grace, metrics: newMetrics()}
}

// Limits returns the bounds of a step whose API calls have this concurrency and timeout.
func Limits(concurrency int, timeout time.Duration) handler.Limits {
	const waiting = 30 * time.Second // for a free slot and the rate limit of the client
	return handler.Limits{Concurrency: concurrency, Timeout: timeout + waiting}
}

// Handle asks the vendor about the job. Only a job that the vendor does not know, also after some time, quarantines the
// event; a failure of the API never does.
func (v *Verify) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	job, err := v.vendor.Result(ctx, e.Job, lookup(e)...)
	if err != nil {
		return handler.Outcome{}, deferred(ctx, e.Attempt, err)
	}
	switch job.State {
	case deepimage.Complete:
		return v.confirm(e, job.ResultURL), nil
	case deepimage.Unknown:
		return handler.Outcome{}, v.unknown(ctx, e)
	case deepimage.Failed:
		return handler.Outcome{}, failed(job)
	case deepimage.Deleted:
		return handler.Outcome{}, handler.FailDeleted(event.ReasonExpired, errDeleted)
	default:
		return handler.Outcome{}, pending(job)
	}
}

// confirm returns the outcome for a job that the vendor confirms. Results of the callback that cannot be trusted are counted.
func (v *Verify) confirm(e event.Event, resultURL string) handler.Outcome {
	_, trusted, ignored := e.Confirm(resultURL)
	outcome := handler.Outcome{VerifiedURL: resultURL, VerifiedResults: trusted, Detail: "Deep Image knows the job."}
	if ignored > 0 {
		v.ignored.Add(float64(ignored))
		outcome.Detail += " " + event.IgnoredResults(ignored)
	}
	return outcome
}

// unknown defers the step while the API may not have the job yet, and then quarantines the event. A person who asks gets the
// answer at once. Jobs of others may be invented, so theirs is the short time: six lookups with the default of two minutes.
func (v *Verify) unknown(ctx context.Context, e event.Event) error {
	grace := v.grace
	age := max(time.Since(e.Received), 0)
	if !e.Recheck && age < trackedGrace {
		tracked, err := v.tracked(ctx, e.Job)
		if err != nil {
			return handler.OutageOfStep(event.ReasonStorage, errors.New("the store did not answer whether the job is tracked"))
		}
		if tracked {
			grace = trackedGrace
		}
	}
	if e.Recheck || age >= grace {
		return handler.Quarantine(event.ReasonNotVerified, errors.New(
			"the Deep Image API does not know the job in the account of the key; verify the event again or release it"))
	}
	return handler.Defer(unknownPause(age, grace, e.Attempt), event.CauseStep, event.ReasonNotVerified,
		errors.New("the Deep Image API does not know the job yet"))
}

// unknownPause returns the pause before the next lookup of an unknown job: twice the age of the event, but no longer than the
// rest of grace and maxUnknownPause. Attempts lengthen it where the clock went back and the age says nothing.
func unknownPause(age, grace time.Duration, attempt int) time.Duration {
	pause := max(2*age, time.Duration(min(max(attempt, 1), 20))*minUnknownPause)
	return min(pause, max(grace-age, 0), maxUnknownPause)
}

// lookup returns how the job is looked up. A lookup for a callback counts against the limit of its source. A person who
// asks for verification gets a fresh response.
func lookup(e event.Event) []deepimage.LookupOption {
	switch {
	case e.Recheck:
		return []deepimage.LookupOption{deepimage.Fresh()}
	case e.Origin == event.OriginCallback:
		return []deepimage.LookupOption{deepimage.FromSource(e.Source)}
	default:
		return nil
	}
}

// Delete is the last step of an event: it deletes the images of the job at the vendor.
type Delete struct{ vendor Vendor }

// NewDelete returns the step.
func NewDelete(vendor Vendor) *Delete { return &Delete{vendor} }

// Handle deletes the images of the job. Images that are already deleted are a success.
func (d *Delete) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	err := d.vendor.Delete(ctx, e.Job)
	switch {
	case deepimage.KindOf(err) == deepimage.KindRefused: // a person must know that a copy stays at the vendor
		return handler.Outcome{}, handler.Fail(event.ReasonOther, err)
	case err != nil:
		return handler.Outcome{}, deferred(ctx, e.Attempt, err)
	}
	return handler.Outcome{Detail: "Deep Image has deleted the images of the job."}, nil
}
