package executor

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

// logFinished writes the one wide line about an attempt.
func (p *Executor) logFinished(attempt workflow.Attempt, result workflow.Result) {
	var bytes int64
	for _, artifact := range result.Artifacts {
		bytes += artifact.Bytes
	}
	p.log.WithLevel(level(result)).
		Str("event", string(attempt.Event)).Str("job", attempt.Job).Str("handler", attempt.Handler).
		Int("attempt", attempt.Number).Str("outcome", string(result.State)).Func(why(result)).
		Int("artifacts", len(result.Artifacts)).Int64("bytes", bytes).
		Float64("duration_ms", milliseconds(time.Since(attempt.Started))).
		Float64("since_received_ms", milliseconds(time.Since(attempt.Received))).
		Msg("step finished")
}

// why adds the fields that only a failed attempt has.
func why(result workflow.Result) func(*zerolog.Event) {
	return func(line *zerolog.Event) {
		if result.Reason != "" {
			line.Str("reason", string(result.Reason))
		}
		if result.Detail != "" {
			line.Str("detail", result.Detail)
		}
		switch {
		case isDisabling(result):
			line.Bool("disabled", true) // until a person enables it
		case result.State == event.Retrying:
			line.Time("next", result.NextAt).Bool("parked", result.Parked)
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// level is low for a step that was parked: there may be thousands, and the first failures of their target were told.
func level(result workflow.Result) zerolog.Level {
	switch {
	case result.Untried:
		return zerolog.DebugLevel
	case result.State == event.Dead || isDisabling(result):
		return zerolog.ErrorLevel
	case result.State == event.Retrying || result.State == event.Quarantined:
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}
