package verification

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Delete is the step after all others: it removes the job's images from the vendor, once everything that
// was to be done with them is done.
type Delete struct{ vendor Vendor }

// NewDelete makes the step.
func NewDelete(vendor Vendor) *Delete { return &Delete{vendor} }

// Handle deletes what the vendor has of the job. What is gone already is as well.
func (d *Delete) Handle(ctx context.Context, e event.Event) (handler.Outcome, error) {
	err := d.vendor.Delete(ctx, e.Job)
	switch {
	case deepimage.KindOf(err) == deepimage.KindRefused: // the images are stored; that a copy stays with the vendor is for a person to know
		return handler.Outcome{}, handler.Fail(event.ReasonOther, err)
	case err != nil:
		return handler.Outcome{}, outage(ctx, e.Attempt, err)
	}
	return handler.Outcome{Detail: "Deep Image has deleted the images of the job."}, nil
}
