package download

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// failure is a result that could not be stored.
type failure struct {
	index int
	err   error
}

// verdict is what follows from failures, one or more, for an event of so many
// results. While one of them may pass the step is tried again, no sooner than every
// host asks for; what is stored by then is not fetched again.
func verdict(failures []failure, results int) error {
	worst := slices.MaxFunc(failures, func(a, b failure) int {
		return cmp.Compare(patience(a.err), patience(b.err))
	})
	said := *handler.Classify(worst.err)
	if results > 1 {
		said.Err = fmt.Errorf("image %d of %d: %w", worst.index+1, results, said.Err)
	}
	if others := len(failures) - 1; others > 0 {
		said.Err = fmt.Errorf("%w; %d other images failed too", said.Err, others)
	}
	return &said
}

// patience orders failures: a permanent one lets all others go first.
func patience(err error) int64 {
	failed := handler.Classify(err)
	if failed.Action == event.ActionFail {
		return -1
	}
	return int64(failed.Delay)
}

// interruption is the error of an attempt whose context ended. Where the image that it
// was at can say more than the context, that is said.
func interruption(ctx context.Context, failures []failure) error {
	if len(failures) > 0 {
		if last := failures[len(failures)-1].err; errors.Is(last, ctx.Err()) {
			return last
		}
	}
	return ctx.Err()
}

// tooMany says that an event offers more images than are fetched of one.
func tooMany(stored, omitted int) error {
	return handler.Fail(event.ReasonTooLarge,
		fmt.Errorf("the event offers %d images; the first %d are stored, which is the most", stored+omitted, stored))
}
