package executor

import (
	"context"
	"time"
)

// Decide exports decide.
var Decide = decide

// Backoff exports backoff.
func (c Config) Backoff(attempts int, requested time.Duration, random float64) time.Duration {
	return c.backoff(attempts, requested, random)
}

// Gate exports gate.
type Gate struct{ gate }

// Enter exports enter.
func (g *Gate) Enter(ctx context.Context) error { return g.enter(ctx) }

// Leave exports leave.
func (g *Gate) Leave() { g.leave() }

// Occupy exports occupy.
func (g *Gate) Occupy(ctx context.Context) (func(), bool) { return g.occupy(ctx) }
