package download

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// failure is a result that was not stored.
type failure struct {
	index int
	err   error // classified
}

// combine returns one error for the failures of an event with this number of results. It is retried as long as one of
// them may pass, after the longest requested delay, and deferred as long as one of them is. Stored images are not fetched
// again.
func combine(failures []failure, results int) error {
	last := slices.MaxFunc(failures, func(a, b failure) int { return cmp.Compare(rank(a.err), rank(b.err)) })
	combined := *handler.Classify(last.err)
	if results > 1 {
		combined.Err = fmt.Errorf("image %d of %d: %w", last.index+1, results, combined.Err)
	}
	if others := len(failures) - 1; others > 0 {
		combined.Err = fmt.Errorf("%w; %d other images failed too", combined.Err, others)
	}
	return &combined
}

// rank orders failures: a permanent one is lowest, a deferral highest, and others are ordered by their delay.
func rank(err error) int64 {
	switch failure := handler.Classify(err); failure.Action {
	case event.ActionFail:
		return -1
	case event.ActionDefer:
		return math.MaxInt64/2 + int64(failure.Delay)
	default:
		return int64(failure.Delay)
	}
}

// interruption returns the error of an attempt whose context ended: that of the last image, if it is about the context,
// because it has more detail. An outage that used up the time of the attempt stays one.
func interruption(ctx context.Context, failures []failure) error {
	for _, failed := range failures {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && handler.Classify(failed.err).Action == event.ActionDefer {
			return failed.err
		}
	}
	if len(failures) > 0 {
		if last := failures[len(failures)-1].err; errors.Is(last, ctx.Err()) {
			return last
		}
	}
	return ctx.Err()
}

// tooMany reports that an event has more images than are fetched.
func tooMany(stored, omitted int) error {
	return handler.Fail(event.ReasonTooLarge,
		fmt.Errorf("the event offers %d images; the first %d are stored, which is the limit", stored+omitted, stored))
}
