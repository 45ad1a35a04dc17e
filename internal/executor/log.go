package executor

import (
	"maps"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

// logFinished logs the one line about an attempt.
func (x *Executor) logFinished(attempt workflow.Attempt, result workflow.Result) {
	var bytes int64
	for _, artifact := range result.Artifacts {
		bytes += artifact.Bytes
	}
	severity := level(result, attempt.Age < minRecheckDelay)
	isOutage := result.Action == event.ActionDefer && result.Cause != event.CauseNone
	if isOutage && x.warnings.allow(warning{attempt.Handler, result.Reason, result.Host}, time.Now()) {
		severity = zerolog.WarnLevel
	}
	x.log.WithLevel(severity).Fields(attempt.Names.Fields()).
		Str("event", string(attempt.Event)).Str("job", attempt.Job).Str("handler", attempt.Handler).
		Int("attempt", attempt.Number).Str("outcome", string(result.State)).Func(why(result)).
		Int("artifacts", len(result.Artifacts)).Int64("bytes", bytes).
		Float64("duration_ms", milliseconds(time.Since(attempt.Started))).
		Float64("since_received_ms", milliseconds(time.Since(attempt.Received))).
		Msg("step finished")
}

// why adds the fields of a failed attempt.
func why(result workflow.Result) func(*zerolog.Event) {
	return func(line *zerolog.Event) {
		if result.Action != "" {
			line.Str("action", string(result.Action))
		}
		if result.Reason != "" {
			line.Str("reason", string(result.Reason))
		}
		if result.Detail != "" {
			line.Str("detail", result.Detail)
		}
		if result.Host != "" {
			line.Str("host", result.Host)
		}
		if result.State == event.Retrying && result.Action != event.ActionDisable {
			line.Time("next", result.NextAt)
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// warningInterval is the time in which one deferred step of a name, reason and host is logged as a warning.
const warningInterval = 10 * time.Minute

// warnings limits the warnings about outages. The zero value is ready for use.
type warnings struct {
	mutex sync.Mutex
	last  map[warning]time.Time
}

type warning struct {
	handler string
	reason  event.Reason
	host    string // that is not allowed
}

// maxWarnings bounds the warnings that are remembered: hosts come from callbacks.
const maxWarnings = 1000

// allow reports whether no such warning was allowed for a while.
func (w *warnings) allow(key warning, now time.Time) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.last) >= maxWarnings {
		maps.DeleteFunc(w.last, func(_ warning, at time.Time) bool { return now.Sub(at) >= warningInterval })
	}
	if len(w.last) >= maxWarnings {
		key.host = ""
	}
	if last, ok := w.last[key]; ok && now.Sub(last) < warningInterval {
		return false
	}
	if w.last == nil {
		w.last = map[warning]time.Time{}
	}
	w.last[key] = now
	return true
}

// level returns the level of a result. It is low for a deferred step: there may be thousands, and warnings limits those
// that show an outage. So it is for an event that was quarantined before, which isFirst denies.
func level(result workflow.Result, isFirst bool) zerolog.Level {
	switch {
	case result.Action == event.ActionDefer:
		return zerolog.DebugLevel
	case result.State == event.Dead || result.Action == event.ActionDisable:
		return zerolog.ErrorLevel
	case result.State == event.Retrying, result.State == event.Quarantined && isFirst:
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}
