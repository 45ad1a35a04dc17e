package retention

import (
	"context"
	"time"
)

// Pass removes one batch of each kind and returns the pause until the next one.
func (r *Retention) Pass(ctx context.Context) (time.Duration, error) { return r.pass(ctx) }

// Interval is the pause when nothing is left.
const Interval = interval

// MaxEvents bounds the events of one transaction.
const MaxEvents = maxEvents

// Acquire is acquire.
func (s *Store) Acquire(ctx context.Context, lease time.Duration) (bool, error) {
	return s.acquire(ctx, lease)
}
