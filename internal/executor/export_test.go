package executor

import "time"

// Decide exports decide.
var Decide = decide

// Backoff exports backoff.
func (c Config) Backoff(attempts int, requested time.Duration, random float64) time.Duration {
	return c.backoff(attempts, requested, random)
}
