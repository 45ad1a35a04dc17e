package verification

import (
	"context"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Refresh gives handlers fresh addresses of results, as handler.Deps.Refresh promises.
func Refresh(vendor Vendor) handler.Refresh {
	return func(ctx context.Context, job string) (string, error) {
		verdict, err := vendor.Result(ctx, job, deepimage.Fresh())
		if err != nil {
			return "", wait(outage(ctx, 1, err))
		}
		switch verdict.State {
		case deepimage.Complete:
			return verdict.ResultURL, nil
		case deepimage.Unknown:
			return "", handler.Fail(event.ReasonExpired, errors.New("the Deep Image API does not know the job, so that it gives no fresh address"))
		case deepimage.Failed:
			return "", failed(verdict)
		case deepimage.Deleted:
			return "", handler.Fail(event.ReasonExpired, errDeleted)
		default:
			return "", pending(verdict)
		}
	}
}

// wait makes an outage of the API one wait of the step that asked: what others of its name show says
// nothing about the API.
func wait(err error) error {
	known, ok := errors.AsType[*handler.Error](err)
	if !ok || known.Action != event.ActionDefer {
		return err
	}
	return handler.Defer(max(known.Delay, refreshPause), event.CauseStep, known.Reason, known.Err)
}

// refreshPause is how long an outage of the API holds up a step that needs a fresh address.
const refreshPause = longestPause / 2
