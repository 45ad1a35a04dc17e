package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// stopGrace is added to the shutdown timeout before the process exits although a part of it hangs.
const stopGrace = 2 * time.Second

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Accept and process callbacks until SIGTERM or SIGINT",
		Long: `Accept and process callbacks until SIGTERM or SIGINT. Then /readyz answers 503, and for RECEIVER_SHUTDOWN_DELAY
callbacks are still accepted, so that proxies lose none. After that they are refused, and running steps have
RECEIVER_SHUTDOWN_TIMEOUT to finish; others continue at the next start. A second signal ends the process
at once. No acknowledged event is lost in either case.

The first start without RECEIVER_WEBHOOK_TOKENS creates a token in RECEIVER_DATA_DIR and prints the URL to
register with Deep Image.`,
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
	var tokens config.Tokens
	var receiver *app.App
	err = app.Await(command.Context(), c, log, func(ctx context.Context) (err error) {
		if tokens, err = c.EnsureTokens(); err != nil {
			return err
		}
		configured := c
		configured.WebhookTokens = tokens.List
		receiver, err = app.New(ctx, configured, log)
		return err
	})
	if errors.Is(err, context.Canceled) {
		return nil // stopped while it waited
	}
	if err != nil {
		return err
	}
	err = receiver.Start(command.Context())
	if err == nil {
		logToken(log, tokens)
		logSharing(log, c)
		printURL(command.OutOrStdout(), c, tokens, receiver.Addr())
		if err = wait(command.Context(), receiver); err == nil {
			receiver.Drain()
		}
	}
	return errors.Join(err, stop(command.Context(), receiver, c))
}

// wait returns when the context ends, or with an error when the receiver fails.
func wait(ctx context.Context, receiver *app.App) error {
	select {
	case <-ctx.Done():
		return nil
	case <-receiver.Done():
		return receiver.Err()
	}
}

// stop stops the receiver within the shutdown timeout, although the context has ended.
func stop(ctx context.Context, receiver *app.App, c config.Config) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- receiver.Stop(ctx) }()
	select {
	case err := <-stopped:
		return err
	case <-time.After(c.ShutdownTimeout + stopGrace):
		return errors.New("the receiver did not stop in time; acknowledged events continue at the next start")
	}
}

// logSharing warns of folders to which others can write.
func logSharing(log zerolog.Logger, c config.Config) {
	for _, folder := range slices.Compact([]string{c.DataDir, c.DatabaseFolder()}) {
		if sharing, err := filesystem.FindSharing(folder); folder != "" && err == nil && sharing != "" {
			log.Warn().Str("folder", folder).Str("detail", sharing).Msg("others can replace files of the data folder")
		}
	}
}

func logToken(log zerolog.Logger, tokens config.Tokens) {
	switch {
	case tokens.Exposed:
		log.Warn().Str("file", tokens.File).Msg("other users of this machine can read the webhook token")
	case tokens.File != "" && !tokens.Made:
		log.Info().Str("file", tokens.File).Msg("webhook token read from file")
	}
}
