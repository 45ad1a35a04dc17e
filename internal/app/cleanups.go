package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// cleanup is something to be undone at the end, by name.
type cleanup struct {
	name string
	do   func(ctx context.Context) error
}

// cleanups are undone in the reverse of the order in which they were added.
type cleanups struct{ list []cleanup }

func (c *cleanups) add(name string, do func(ctx context.Context) error) {
	c.list = append(c.list, cleanup{name, do})
}

// addClose adds a clean-up that needs no time limit.
func (c *cleanups) addClose(name string, do func() error) {
	c.add(name, func(context.Context) error { return do() })
}

// run undoes everything, also after a failure, and forgets it.
func (c *cleanups) run(ctx context.Context) error {
	var failures []error
	for _, cleanup := range slices.Backward(c.list) {
		if err := cleanup.do(ctx); err != nil {
			failures = append(failures, fmt.Errorf("stop %s: %w", cleanup.name, err))
		}
	}
	c.list = nil
	return errors.Join(failures...)
}
