package executor

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/work"
)

// Config is the policy of retries.
type Config struct {
	MaxAttempts int           `envconfig:"MAX_ATTEMPTS" default:"20" range:"1..1000" desc:"attempts of a step before it is dead"`
	MaxAge      time.Duration `envconfig:"MAX_AGE" default:"72h" range:"1m..720h" desc:"age of a step at which it is not tried again"`
	MinDelay    time.Duration `envconfig:"MIN_DELAY" default:"2s" range:"10ms..1h" desc:"delay before the second attempt; it doubles from attempt to attempt, with jitter"`
	MaxDelay    time.Duration `envconfig:"MAX_DELAY" default:"1h" range:"1s..24h" desc:"longest delay between two attempts, also when the other side asks for more"`
}

// Validate tells what in the policy does not go together.
func (c Config) Validate() error {
	if c.MaxDelay < c.MinDelay {
		return &configtypes.Conflict{Name: "MAX_DELAY", Text: "must be at least MIN_DELAY"}
	}
	return nil
}

// decide says what follows from a finished attempt.
func (p *Executor) decide(attempt work.Attempt, outcome handler.Outcome, err error) work.Result {
	result := work.Result{State: event.Done, Artifacts: outcome.Artifacts, Detail: outcome.Detail, ResultURL: outcome.ResultURL}
	if err == nil {
		if outcome.Skipped {
			result.State = event.Skipped
		}
		result.Verified = outcome.Verified
		return result
	}
	failure := handler.Failure(err)
	result.State, result.Reason, result.Detail = event.Dead, failure.Reason, failure.Error()
	switch {
	case failure.Parked:
		result.State, result.Parked, result.Interrupted, result.Untried = event.Retrying, !failure.Firm, true, !failure.Disabled
		result.NextAt = time.Now().Add(min(max(failure.After, 0), maxParked))
		return result
	case failure.Quarantined:
		result.State = event.Quarantined
		return result
	case failure.Permanent:
		result.Gone = failure.Gone
		return result
	}
	delay := p.config.delay(attempt.Tries, failure.After)
	if failure.Patient { // the older it is, the less it hurts to wait
		delay = p.config.delay(1, max(failure.After, attempt.Age/4))
	}
	switch {
	case attempt.Tries >= p.config.MaxAttempts && !failure.Patient:
		result.Detail += fmt.Sprintf(" (given up after %d attempts)", attempt.Tries)
	case attempt.Age+delay > p.config.MaxAge:
		result.Detail += fmt.Sprintf(" (given up after %s)", attempt.Age.Round(time.Second))
	default:
		result.State, result.NextAt, result.Interrupted = event.Retrying, time.Now().Add(delay), failure.Patient
	}
	return result
}

// maxParked is the longest time for which a step is parked, whatever its handler says.
const maxParked = 24 * time.Hour

// delay is how long to wait after the given number of tries. What the other side
// asked for is the least, up to the cap; the jitter keeps many steps that failed
// together from coming back together.
func (c Config) delay(tries int, asked time.Duration) time.Duration {
	delay := c.MinDelay
	for ; tries > 1 && delay < c.MaxDelay; tries-- {
		delay *= 2
	}
	delay = min(delay, c.MaxDelay)
	delay = delay/2 + rand.N(delay/2+1)
	switch {
	case asked >= c.MaxDelay:
		return c.MaxDelay - rand.N(c.MaxDelay/10+1)
	case asked > delay:
		return min(asked+rand.N(asked/10+1), c.MaxDelay)
	default:
		return delay
	}
}
