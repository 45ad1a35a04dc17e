package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// cleanup is a step of stopping.
type cleanup struct {
	name string
	do   func(ctx context.Context) error
}

// cleanups run in reverse order.
type cleanups struct{ list []cleanup }

func (c *cleanups) add(name string, do func(ctx context.Context) error) {
	c.list = append(c.list, cleanup{name, do})
}

// addClose adds a cleanup without a time limit.
func (c *cleanups) addClose(name string, do func() error) {
	c.add(name, func(context.Context) error { return do() })
}

// run runs and removes all cleanups, also after an error.
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
