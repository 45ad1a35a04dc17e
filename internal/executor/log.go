package executor

import (
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
	x.log.WithLevel(level(result)).
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
		if result.State == event.Retrying && result.Action != event.ActionDisable {
			line.Time("next", result.NextAt)
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// level returns the level of a result. It is low for a deferred step: there may be thousands, and the failures that led to
// the deferral were logged.
func level(result workflow.Result) zerolog.Level {
	switch {
	case result.Action == event.ActionDefer:
		return zerolog.DebugLevel
	case result.State == event.Dead || result.Action == event.ActionDisable:
		return zerolog.ErrorLevel
	case result.State == event.Retrying || result.State == event.Quarantined:
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}
