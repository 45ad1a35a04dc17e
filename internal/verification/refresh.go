package verification

import (
	"context"
	"errors"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// minRefreshDelay is the shortest deferral of a step that needs a fresh URL during an outage of the API.
const minRefreshDelay = maxOutageDelay / 2

// Refresh returns the function of handler.Deps that asks the vendor for the result URL of a job.
func Refresh(vendor Vendor) handler.Refresh {
	return func(ctx context.Context, job string) (string, error) {
		found, err := vendor.Result(ctx, job, deepimage.Fresh())
		if err != nil {
			return "", deferStep(deferred(ctx, 1, err))
		}
		switch found.State {
		case deepimage.Complete:
			return found.ResultURL, nil
		case deepimage.Unknown:
			return "", handler.Fail(event.ReasonExpired, fmt.Errorf("%w, so there is no fresh address", handler.ErrUnknownJob))
		case deepimage.Failed:
			return "", failed(found)
		case deepimage.Deleted:
			return "", handler.Fail(event.ReasonExpired, errDeleted)
		default:
			return "", pending(found)
		}
	}
}

// deferStep limits a deferral to the step that asked: the success of other steps of its name says nothing about the API.
func deferStep(err error) error {
	failure, ok := errors.AsType[*handler.Error](err)
	if !ok || failure.Action != event.ActionDefer {
		return err
	}
	return handler.Defer(max(failure.Delay, minRefreshDelay), event.CauseStep, failure.Reason, failure.Err)
}
