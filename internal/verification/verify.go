package verification

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Verify is the step before all others: it asks the vendor about the job, and lets the event go on with the
// vendor's own address or not at all. It fetches nothing.
type Verify struct{ vendor Vendor }

// NewVerify makes the step.
func NewVerify(vendor Vendor) *Verify { return &Verify{vendor} }

// Limits are those of a step whose calls have so much time and are made so many at once.
func Limits(concurrency int, timeout time.Duration) handler.Limits {
	const turns = 30 * time.Second // for a free slot and a turn, which the client bounds
	return handler.Limits{Concurrency: concurrency, Timeout: timeout + turns}
}

// Handle asks what became of the job. Only the vendor's word that there is no such job makes an
// event suspicious; that it says nothing never does.
func (v *Verify) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	verdict, err := v.vendor.Result(ctx, e.Job, looks(e)...)
	if err != nil {
		return handler.Outcome{}, outage(ctx, e.Attempt, err)
	}
	switch verdict.State {
	case deepimage.Complete:
		return handler.Outcome{VerifiedURL: verdict.ResultURL, Detail: "Deep Image knows the job."}, nil
	case deepimage.Unknown:
		return handler.Outcome{}, handler.Quarantine(event.ReasonNotVerified,
			errors.New("the Deep Image API does not know the job in the account of the key; nothing is fetched before it is verified again or released"))
	case deepimage.Failed:
		return handler.Outcome{}, failed(verdict)
	case deepimage.Deleted:
		return handler.Outcome{}, handler.FailDeleted(event.ReasonExpired, errDeleted)
	default:
		return handler.Outcome{}, pending(verdict)
	}
}

// looks are how an event's job is looked up: at the cost of who told us of it, unless that was
// nobody or a person vouches for it. A person wants to know what is so now.
func looks(e event.Event) []deepimage.LookupOption {
	switch {
	case e.Recheck:
		return []deepimage.LookupOption{deepimage.Fresh()}
	case e.Origin == event.OriginCallback:
		return []deepimage.LookupOption{deepimage.FromSource(e.Source)}
	default:
		return nil
	}
}
