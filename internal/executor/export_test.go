package executor

import "time"

// Delay opens the policy's delay to tests.
func (c Config) Delay(tries int, asked time.Duration) time.Duration { return c.delay(tries, asked) }
