package handler

import (
	"context"
	"fmt"
	"io"
)

// Definition is a handler in the list of package builtin.
type Definition struct {
	// Name is lower case. It names the queue; RECEIVER_ and this name in upper case is the prefix of the handler's
	// variables.
	Name string
	// NewConfig returns a pointer to a zero configuration struct, which package config fills.
	NewConfig func() Config
	// New makes the handler for the step that deps names. A handler that is an io.Closer is closed when the receiver
	// stops.
	New func(ctx context.Context, config Config, deps Deps) (Handler, error)
}

// Define returns the definition of a handler with this name and constructor.
func Define[C any, P interface {
	*C
	Config
}, H Handler](name string, construct func(context.Context, C, Deps) (H, error)) Definition {
	return Definition{
		Name:      name,
		NewConfig: func() Config { return P(new(C)) },
		New: func(ctx context.Context, config Config, deps Deps) (Handler, error) {
			own, ok := config.(P)
			if !ok {
				return nil, fmt.Errorf("handler %s: configuration is a %T", name, config)
			}
			made, err := construct(ctx, *own, deps)
			if err != nil {
				return nil, fmt.Errorf("handler %s: %w", name, err)
			}
			return made, nil
		},
	}
}

// Steps returns the steps of an event for this handler, which run at the same time: one with the handler's own name,
// unless the configuration is Targeted.
func (d Definition) Steps(config Config) []Step {
	if targeted, ok := config.(Targeted); ok {
		return targeted.Steps()
	}
	return []Step{{Name: d.Name, Limits: config.Limits()}}
}

// Needs returns the names of the handlers that this one waits for.
func (d Definition) Needs(config Config) []string {
	if dependent, ok := config.(Dependent); ok {
		return dependent.Needs()
	}
	return nil
}

// Close closes h if it is an io.Closer.
func Close(h Handler) error {
	if closer, ok := h.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
