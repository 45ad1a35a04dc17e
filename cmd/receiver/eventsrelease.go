package main

import (
	"context"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

func newEventsRelease(options *adminOptions) *cobra.Command {
	var all, verify bool
	command := &cobra.Command{
		Use:   "release [ID]",
		Short: "Release a quarantined event, or all of them",
		Long: `Release a quarantined event, or all with --all, although Deep Image did not confirm them.
With --verify, ask Deep Image again instead, and release only what it confirms.`,
		Example: "  receiver events release 0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11\n  receiver events release --all --verify",
		Args:    cobra.MaximumNArgs(1),
	}
	command.Flags().BoolVar(&all, "all", false, "every quarantined event")
	command.Flags().BoolVar(&verify, "verify", false, "ask Deep Image again instead of releasing")
	return newAdminCommand(options, command,
		func(ctx context.Context, client *adminclient.Client, arguments []string) (adminclient.Released, error) {
			id, err := oneOrAll(arguments, all)
			if err != nil {
				return adminclient.Released{}, err
			}
			return client.Release(ctx, id, verify)
		},
		func(result adminclient.Released, client *adminclient.Client) string {
			switch {
			case verify:
				return fmt.Sprintf("%d events will be verified again%s\n", result.Events, whenOnline(client))
			case client.IsOffline():
				return fmt.Sprintf("%d events released; they continue%s\n", result.Events, whenOnline(client))
			default:
				return fmt.Sprintf("%d events released\n", result.Events)
			}
		})
}

// oneOrAll returns the id that is the only argument, or none with --all.
func oneOrAll(arguments []string, all bool) (id string, err error) {
	if all == (len(arguments) == 1) {
		return "", wrongUsage("pass the id of one event, or --all")
	}
	if all {
		return "", nil
	}
	return arguments[0], nil
}
