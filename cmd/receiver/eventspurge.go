package main

import (
	"context"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

func newEventsPurge(options *adminOptions) *cobra.Command {
	var quarantined, yes bool
	var olderThan time.Duration
	command := &cobra.Command{
		Use:   "purge --quarantined",
		Short: "Remove the bodies of quarantined events for good",
		Long: `Remove the bodies of quarantined events for good. The events stay as dead, so that a repeat is a duplicate.
Their space in the database is used again. Without --yes the command only counts the events.`,
		Example: "  receiver events purge --quarantined --older-than 24h --yes",
		Args:    cobra.NoArgs,
	}
	command.Flags().BoolVar(&quarantined, "quarantined", false, "quarantined events; required")
	command.Flags().DurationVar(&olderThan, "older-than", 0, "only events received longer ago, such as 24h")
	command.Flags().BoolVar(&yes, "yes", false, "purge instead of counting")
	return newAdminCommand(options, command,
		func(ctx context.Context, client *adminclient.Client, _ []string) (adminclient.Purged, error) {
			if !quarantined || olderThan < 0 {
				return adminclient.Purged{}, wrongUsage("pass --quarantined, and no negative age")
			}
			return client.Purge(ctx, olderThan, !yes)
		},
		func(result adminclient.Purged, _ *adminclient.Client) string {
			if result.DryRun {
				return fmt.Sprintf("%d events match; pass --yes to purge their bodies\n", result.Events)
			}
			return fmt.Sprintf("bodies of %d events purged\n", result.Events)
		})
}
