package pipeline

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/work"
	"github.com/rs/zerolog"
)

// logFinished writes the one wide line about an attempt.
func (p *Pipeline) logFinished(attempt work.Attempt, result work.Result) {
	var bytes int64
	for _, artifact := range result.Artifacts {
		bytes += artifact.Bytes
	}
	line := p.log.WithLevel(level(result.State)).
		Str("event", string(attempt.Event)).Str("job", attempt.Job).Str("handler", attempt.Handler).
		Int("attempt", attempt.Number).Str("outcome", string(result.State))
	if result.Reason != "" {
		line = line.Str("reason", string(result.Reason))
	}
	if result.Detail != "" {
		line = line.Str("detail", result.Detail)
	}
	if result.State == event.Retrying {
		line = line.Time("next", result.NextAt)
	}
	line.Int("artifacts", len(result.Artifacts)).Int64("bytes", bytes).
		Float64("duration_ms", milliseconds(time.Since(attempt.Started))).
		Float64("since_received_ms", milliseconds(time.Since(attempt.Received))).
		Msg("step finished")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func level(state event.Status) zerolog.Level {
	switch state {
	case event.Dead:
		return zerolog.ErrorLevel
	case event.Retrying:
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}
