package executor

import (
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// Config is the retry policy.
type Config struct {
	MaxAttempts int           `envconfig:"MAX_ATTEMPTS" default:"20" range:"1..1000" desc:"attempts of a step before it is dead"`
	MaxAge      time.Duration `envconfig:"MAX_AGE" default:"72h" range:"1m..720h" desc:"maximum age of a step; older steps are not retried"`
	MinDelay    time.Duration `envconfig:"MIN_DELAY" default:"2s" range:"10ms..1h" desc:"delay before the second attempt; it doubles with each attempt, with jitter"`
	MaxDelay    time.Duration `envconfig:"MAX_DELAY" default:"1h" range:"1s..24h" desc:"maximum delay between two attempts, even if the remote system asks for more"`
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

// The delays of a deferral that leaves them to the policy.
const (
	minOutageDelay = 2 * time.Second // doubles with each deferral
	maxOutageDelay = 5 * time.Minute
)

// decide returns the result of a finished attempt. It depends on its arguments only; random is in [0, 1).
func decide(config Config, attempt workflow.Attempt, outcome handler.Outcome, err error, now time.Time, random float64) workflow.Result {
	result := workflow.Result{
		State: event.Done, Artifacts: outcome.Artifacts, Detail: outcome.Detail, ResultURL: outcome.ResultURL,
		VerifiedURL: outcome.VerifiedURL, VerifiedResults: outcome.VerifiedResults,
	}
	failure := handler.Classify(err)
	if failure == nil {
		if outcome.Skipped {
			result.State = event.Skipped
		}
		return result
	}
	result.Action, result.Cause, result.Reason, result.Detail = failure.Action, failure.Cause, failure.Reason, failure.Error()
	result.VerifiedURL, result.VerifiedResults, result.Host = "", nil, failure.Host
	delay := time.Duration(0)
	switch failure.Action {
	case event.ActionFail:
		result.State = event.Dead
		return result
	case event.ActionQuarantine:
		result.State = event.Quarantined
		if attempt.Age < recheckPeriod {
			result.NextAt = now.Add(recheckDelay(attempt.Age, random))
		}
		return result
	case event.ActionDisable: // due as soon as a person enables the target
	case event.ActionDefer:
		if delay = min(max(failure.Delay, 0), maxDeferral); failure.Delay == 0 {
			delay = outageDelay(free(attempt), random)
		}
	case event.ActionHold:
		delay = config.backoff(1, max(failure.Delay, attempt.Age/4), random) // the older, the less urgent
		if attempt.Age+delay > config.MaxAge {
			return giveUp(result, attempt.Age.Round(time.Second).String())
		}
	default:
		delay = config.backoff(attempt.Tries, failure.Delay, random)
		switch {
		case attempt.Tries >= config.MaxAttempts:
			return giveUp(result, fmt.Sprintf("%d attempts", attempt.Tries))
		case attempt.Age+delay > config.MaxAge:
			return giveUp(result, attempt.Age.Round(time.Second).String())
		}
	}
	result.State, result.NextAt = event.Retrying, now.Add(delay)
	return result
}

// A quarantined event is verified again by itself: minRecheckDelay after its quarantine began, then with pauses that grow with
// its age, and for the last time when recheckPeriod is over. That is seven times.
const (
	minRecheckDelay = 5 * time.Minute
	recheckPeriod   = 24 * time.Hour
)

// recheckDelay returns the delay before a step of this age, which is below recheckPeriod, is verified again.
func recheckDelay(age time.Duration, random float64) time.Duration {
	delay := max(2*age, minRecheckDelay)
	return min(delay+fraction(delay/8, random), recheckPeriod-age)
}

// free returns how many earlier attempts of a step did not count.
func free(attempt workflow.Attempt) int { return max(attempt.Number-attempt.Tries, 0) }

// outageDelay returns the delay after a number of deferrals: between half of the doubled minimum and all of it.
func outageDelay(deferrals int, random float64) time.Duration {
	delay := background.Backoff(minOutageDelay, maxOutageDelay, deferrals)
	return delay/2 + fraction(delay/2, random)
}

// giveUp returns the result of a step that has reached a limit of the policy.
func giveUp(result workflow.Result, limit string) workflow.Result {
	result.State, result.Action = event.Dead, event.ActionFail
	result.Detail = fmt.Sprintf("%s (given up after %s)", result.Detail, limit)
	return result
}

// backoff returns the delay after the given number of attempts: between half of the doubled minimum and all of it,
// never above MaxDelay. It is at least requested, as far as MaxDelay allows. Steps that failed together get different
// delays through random, which is in [0, 1).
func (c Config) backoff(attempts int, requested time.Duration, random float64) time.Duration {
	delay := background.Backoff(c.MinDelay, c.MaxDelay, max(attempts-1, 0))
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
