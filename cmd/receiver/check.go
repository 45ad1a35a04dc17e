package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/preflight"
	"github.com/spf13/cobra"
)

// checkTimeout bounds all preflight checks together.
const checkTimeout = 30 * time.Second

func newCheck() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "check",
		Short: "Run preflight checks without serving",
		Long: `Validate the configuration, and report all its faults at once (exit code 2). Then check what
"receiver serve" needs: folders, disk space, stores, token, listen address, handlers and host names.

With RECEIVER_PUBLIC_URL it asks the running receiver there which client IP it sees, and claims another
one: it warns if senders can choose their address.

It can run while a receiver is running. Like serve it creates missing folders, but neither a token
nor a store. The exit code is 1 when a check fails; a warning is not a failure.`,
		Example: "  receiver check\n  receiver check --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := config.Load(builtin.All())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(command.Context(), checkTimeout)
			defer cancel()
			results := preflight.Run(ctx, c)
			if err := printResults(command.OutOrStdout(), results, asJSON); err != nil {
				return err
			}
			if failed := preflight.Failed(results); failed > 0 {
				return errors.New("preflight failed: serve would not work")
			}
			return nil
		},
	}
	addJSON(command, &asJSON)
	return command
}

func printResults(out io.Writer, results []preflight.Result, asJSON bool) error {
	if asJSON {
		return printJSON(out, results)
	}
	var text strings.Builder
	for _, r := range results {
		fmt.Fprintf(&text, "%-4s  %-13s  %s\n", r.Status, r.Check, r.Text)
	}
	return printResult(out, text.String())
}
