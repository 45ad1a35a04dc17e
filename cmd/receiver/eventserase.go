package main

import (
	"context"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

func newEventsErase(options *adminOptions) *cobra.Command {
	var job string
	var images bool
	command := &cobra.Command{
		Use:   "erase --job JOB",
		Short: "Remove all that is stored about a job for good",
		Long: `Remove all that is stored about a job for good: the bodies and the history of its events, rejected callbacks
with its id, and with --images its stored images and manifests. A tombstone stays, so that a repeat of a
callback is a duplicate. While a step of the job is running, nothing is erased. Without a running receiver
the images are deleted at the next start. Backups, logs and other systems keep what they have.`,
		Example: "  receiver events erase --job ce0e7624-634e-11ee-a699-0242ac14000b --images",
		Args:    cobra.NoArgs,
	}
	command.Flags().StringVar(&job, "job", "", "id of the job; required")
	command.Flags().BoolVar(&images, "images", false, "delete the stored images and manifests too")
	return newAdminCommand(options, command,
		func(ctx context.Context, client *adminclient.Client, _ []string) (adminclient.Erased, error) {
			if job == "" {
				return adminclient.Erased{}, wrongUsage("pass --job")
			}
			return client.Erase(ctx, job, images)
		},
		func(result adminclient.Erased, _ *adminclient.Client) string {
			text := fmt.Sprintf("%d events, %d rejected callbacks and %d files erased\n", result.Events, result.Rejections, result.Files)
			if result.Pending > 0 || !result.Finished {
				text += "the rest is erased in the background\n"
			}
			return text
		})
}
