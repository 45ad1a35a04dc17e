package main

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// stopGrace is what a disk that hangs gets beyond the time to stop, before the process ends all the same.
const stopGrace = 2 * time.Second

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Receive callbacks until told to stop",
		Long: `Receive callbacks and work on them until SIGTERM or SIGINT. Then no new callback is taken, what is under
way has RECEIVER_SHUTDOWN_TIMEOUT to end, and what does not end goes on at the next start. A second
signal ends the process at once; nothing that was acknowledged is lost by that either.

The first start without RECEIVER_WEBHOOK_TOKENS makes a token, keeps it in RECEIVER_DATA_DIR and prints
the URL to register with Deep Image.`,
		Example: "  receiver serve\n  RECEIVER_DATA_DIR=/var/lib/receiver receiver serve",
		Args:    cobra.NoArgs,
		RunE:    func(command *cobra.Command, _ []string) error { return serve(command) },
	}
}

func serve(command *cobra.Command) error {
	c, err := config.Load(builtin.All())
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(command.ErrOrStderr(), c.Log)
	if err != nil {
		return err
	}
	telemetry.TakeOverStandard(log, zerolog.DebugLevel)
	tokens, err := c.EnsureTokens()
	if err != nil {
		return err
	}
	c.WebhookTokens = tokens.List
	receiver, err := app.New(command.Context(), c, log)
	if err != nil {
		return err
	}
	err = receiver.Start(command.Context())
	if err == nil {
		warnOfToken(log, tokens)
		announce(command.OutOrStdout(), c, tokens, receiver.Addr())
		err = wait(command.Context(), receiver)
	}
	return errors.Join(err, stop(command.Context(), receiver, c))
}

// wait returns when the receiver is told to stop, or with an error when it failed by itself.
func wait(ctx context.Context, receiver *app.App) error {
	select {
	case <-ctx.Done():
		return nil
	case <-receiver.Done():
		return receiver.Err()
	}
}

// stop gives the receiver its time to end, though the context has ended already.
func stop(ctx context.Context, receiver *app.App, c config.Config) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- receiver.Stop(ctx) }()
	select {
	case err := <-stopped:
		return err
	case <-time.After(c.ShutdownTimeout + stopGrace):
		return errors.New("the receiver could not stop in time; what was acknowledged is safe and goes on at the next start")
	}
}

func warnOfToken(log zerolog.Logger, tokens config.Tokens) {
	switch {
	case tokens.Exposed:
		log.Warn().Str("file", tokens.File).Msg("other users of this machine can read the webhook token")
	case tokens.File != "" && !tokens.Made:
		log.Info().Str("file", tokens.File).Msg("webhook token is in its file")
	}
}
