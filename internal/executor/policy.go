package executor

import (
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// Config is the retry policy.
type Config struct {
	MaxAttempts int           `envconfig:"MAX_ATTEMPTS" default:"20" range:"1..1000" desc:"attempts of a step before it is dead"`
	MaxAge      time.Duration `envconfig:"MAX_AGE" default:"72h" range:"1m..720h" desc:"age of a step at which it is not tried again"`
	MinDelay    time.Duration `envconfig:"MIN_DELAY" default:"2s" range:"10ms..1h" desc:"delay before the second attempt; it doubles from attempt to attempt, with jitter"`
	MaxDelay    time.Duration `envconfig:"MAX_DELAY" default:"1h" range:"1s..24h" desc:"longest delay between two attempts, also when the other side asks for more"`
}

// Validate returns an error if the values contradict each other.
func (c Config) Validate() error {
	if c.MaxDelay < c.MinDelay {
		return &configtypes.Conflict{Name: "MAX_DELAY", Text: "must be at least MIN_DELAY"}
	}
	return nil
}

// maxDeferral is the longest time for which a step is deferred, whatever its handler asks for.
const maxDeferral = 24 * time.Hour

// decide returns the result of a finished attempt. It depends on its arguments only; random is in [0, 1).
func decide(config Config, attempt workflow.Attempt, outcome handler.Outcome, err error, now time.Time, random float64) workflow.Result {
	result := workflow.Result{State: event.Done, Artifacts: outcome.Artifacts, Detail: outcome.Detail, ResultURL: outcome.ResultURL}
	failure := handler.Classify(err)
	if failure == nil {
		if outcome.Skipped {
			result.State = event.Skipped
		}
		result.Verified = outcome.Verified
		return result
	}
	result.Reason, result.Detail = failure.Reason, failure.Error()
	switch failure.Action {
	case event.ActionFail:
		result.State, result.Gone = event.Dead, failure.Cause == event.CauseDeleted
	case event.ActionQuarantine:
		result.State = event.Quarantined
	case event.ActionDisable:
		result.State, result.NextAt = event.Retrying, now
		result.Parked, result.Interrupted = true, true
	case event.ActionDefer:
		result.State, result.NextAt = event.Retrying, now.Add(min(max(failure.Delay, 0), maxDeferral))
		result.Parked, result.Interrupted, result.Untried = failure.Cause != event.CauseStep, true, true
	case event.ActionHold:
		// The older the step is, the less it matters when it becomes ready.
		delay := config.backoff(1, max(failure.Delay, attempt.Age/4), random)
		if attempt.Age+delay > config.MaxAge {
			return tooOld(result, attempt)
		}
		result.State, result.NextAt, result.Interrupted = event.Retrying, now.Add(delay), true
	default:
		delay := config.backoff(attempt.Tries, failure.Delay, random)
		if attempt.Tries >= config.MaxAttempts {
			result.State, result.Detail = event.Dead, fmt.Sprintf("%s (given up after %d attempts)", result.Detail, attempt.Tries)
			return result
		}
		if attempt.Age+delay > config.MaxAge {
			return tooOld(result, attempt)
		}
		result.State, result.NextAt = event.Retrying, now.Add(delay)
	}
	return result
}

// tooOld returns result as that of a step that has reached the maximum age.
func tooOld(result workflow.Result, attempt workflow.Attempt) workflow.Result {
	result.State = event.Dead
	result.Detail = fmt.Sprintf("%s (given up after %s)", result.Detail, attempt.Age.Round(time.Second))
	return result
}

// backoff returns the delay after the given number of attempts: between half of the doubled minimum and all of it,
// never above MaxDelay. It is at least requested, as far as MaxDelay allows. Steps that failed together get different
// delays through random, which is in [0, 1).
func (c Config) backoff(attempts int, requested time.Duration, random float64) time.Duration {
	delay := c.MinDelay
	for ; attempts > 1 && delay < c.MaxDelay; attempts-- {
		delay *= 2
	}
	delay = min(delay, c.MaxDelay)
	delay = delay/2 + fraction(delay/2, random)
	switch {
	case requested >= c.MaxDelay:
		return c.MaxDelay - fraction(c.MaxDelay/10, random)
	case requested > delay:
		return min(requested+fraction(requested/10, random), c.MaxDelay)
	default:
		return delay
	}
}

// fraction returns the share random of d.
func fraction(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * random)
}
