package handler

import (
	"context"
	"fmt"
	"io"
)

// Definition is a handler as package builtin lists it: its name and how it is made.
type Definition struct {
	// Name is lower case; the configuration variables of the handler start with
	// RECEIVER_ and this name in upper case, its queue bears it.
	Name string
	// NewConfig gives a pointer to a zero configuration struct, for package config to fill.
	NewConfig func() Config
	// New makes the handler from a filled configuration, for the step that deps names. If what
	// it makes is an io.Closer, it is closed when the receiver stops.
	New func(ctx context.Context, config Config, deps Deps) (Handler, error)
}

// Define lists a handler by its name and its constructor.
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

// Steps are those that an event goes through for the handler, all of them at the same time:
// one with the handler's own name, unless its configuration is Targeted.
func (d Definition) Steps(config Config) []Step {
	if targeted, ok := config.(Targeted); ok {
		return targeted.Steps()
	}
	return []Step{{Name: d.Name, Limits: config.Limits()}}
}

// Close closes h if it can be closed.
func Close(h Handler) error {
	if closer, ok := h.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
