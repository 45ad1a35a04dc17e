package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// sendForward sends the event of a callback to each target, one after the other, as the handler does.
func sendForward(ctx context.Context, out io.Writer, body []byte, options sendOptions) error {
	e, err := event.Decode(body)
	if err != nil {
		return wrongUsage("a receiver would reject the callback: %s", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	e.ID, e.Received = event.ID(id.String()), time.Now().UTC().Truncate(time.Microsecond)
	configured, err := loadForward(options.url)
	if err != nil {
		return err
	}
	failed, steps := 0, configured.Steps()
	for _, step := range steps {
		result, err := sendToTarget(ctx, configured, step, e, options.timeout)
		if err != nil {
			return err
		}
		if err := result.print(out, options.asJSON); err != nil {
			return err
		}
		if !result.OK {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d calls failed", failed, len(steps))
	}
	return nil
}

// loadForward reads the configuration of the handler, whether it is enabled or not.
func loadForward(address string) (config.Handler, error) {
	return config.LoadHandler(handler.Define(forward.Name, forward.New), func(c handler.Config) {
		own, ok := c.(*forward.Config)
		if !ok {
			return
		}
		own.Mode = forward.ModeEvent
		if address != "" {
			own.URLs = secret.List{secret.New(address)}
		}
	})
}

// sent is the outcome of one call.
type sent struct {
	Target       string   `json:"target"`
	OK           bool     `json:"ok"`
	Milliseconds float64  `json:"duration_ms"`
	ID           event.ID `json:"id"` // webhook-id of the call
	Answer       string   `json:"answer"`
}

func sendToTarget(ctx context.Context, configured config.Handler, step handler.Step, e event.Event, timeout time.Duration) (result sent, err error) {
	target, err := configured.Definition.New(ctx, configured.Config, handler.Deps{Step: step.Name, Log: zerolog.Nop(), Redact: event.Redact})
	if err != nil {
		return sent{}, err
	}
	defer func() { err = errors.Join(err, handler.Close(target)) }()
	ctx, cancel := context.WithTimeout(ctx, min(timeout, step.Limits.Timeout))
	defer cancel()
	begun := time.Now()
	outcome, failed := target.Handle(ctx, e)
	result = sent{
		Target: step.Name, OK: failed == nil, ID: e.ID, Answer: outcome.Detail,
		Milliseconds: float64(time.Since(begun).Microseconds()) / 1000,
	}
	if failed != nil {
		result.Answer = failed.Error()
	}
	return result, nil
}

func (s sent) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, s)
	}
	word := "ok"
	if !s.OK {
		word = "failed"
	}
	return printResult(out, fmt.Sprintf("%s  %s  %.0f ms  %s\n", s.Target, word, s.Milliseconds, printable(s.Answer)))
}
