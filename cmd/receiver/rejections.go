package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newRejections() *cobra.Command {
	command := &cobra.Command{
		Use:   "rejections",
		Short: "List, show, accept and delete rejected callbacks",
		Long: `List, show, accept and delete callbacks that came with a valid token but were rejected, through the admin listener
of a running receiver: --url, or RECEIVER_ADMIN_ADDR on this machine. RECEIVER_ADMIN_TOKEN is sent where a token
is required.

If no receiver listens there, the command works on the store in offline mode. Accepted callbacks are processed
when a receiver runs.`,
		Example: "  receiver rejections list\n  receiver rejections accept 7 --job ce0e7624-634e-11ee-a699-0242ac14000b",
	}
	var options adminOptions
	options.add(command)
	command.AddCommand(newRejectionsList(&options), newRejectionsShow(&options), newRejectionsAccept(&options), newRejectionsDelete(&options))
	return command
}

func newRejectionsList(options *adminOptions) *cobra.Command {
	command := &cobra.Command{
		Short:   "List rejected callbacks, newest first",
		Example: "  receiver rejections list --json",
	}
	row := func(r adminclient.Rejection) []string {
		return []string{
			strconv.FormatInt(r.ID, 10), r.Received.UTC().Format(time.RFC3339), strconv.Itoa(r.Bytes), string(r.Code), r.Job, r.Detail,
		}
	}
	table := columns[adminclient.Rejection]{header: []string{"ID", "RECEIVED", "BYTES", "CODE", "JOB", "WHY"}, row: row}
	return newListCommand(options, command, table,
		func(ctx context.Context, client *adminclient.Client, limit int, yield func(adminclient.Rejection) error) error {
			return client.ListRejections(ctx, limit, yield)
		})
}

func newRejectionsShow(options *adminOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Print the body of a rejected callback",
		Long: `Print the body of a rejected callback, secrets included. On a terminal control characters are escaped; a file or a
pipe gets the body byte for byte.`,
		Example: "  receiver rejections show 7\n  receiver rejections show 7 > body.bin",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return options.use(command, func(ctx context.Context, client *adminclient.Client) error {
				body, err := client.RejectionBody(ctx, arguments[0])
				if err != nil {
					return err
				}
				return printBody(command.OutOrStdout(), body, isTerminal(command.OutOrStdout()))
			})
		},
	}
}

// printBody prints a body byte for byte, or for a terminal with control characters escaped and a line feed.
func printBody(w io.Writer, body []byte, terminal bool) error {
	if terminal {
		return printResult(w, string(body)+"\n")
	}
	return write(w, string(body))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func newRejectionsAccept(options *adminOptions) *cobra.Command {
	var job, resultURL string
	command := &cobra.Command{
		Use:   "accept ID",
		Short: "Store a rejected callback as an event",
		Long: `Store a rejected callback as an event. --job and --result-url replace what is in its body; --job is required if the
body has no valid job.`,
		Example: "  receiver rejections accept 7 --job ce0e7624-634e-11ee-a699-0242ac14000b --result-url https://deep-image.ai/a.png",
		Args:    cobra.ExactArgs(1),
	}
	command.Flags().StringVar(&job, "job", "", "id of the job")
	command.Flags().StringVar(&resultURL, "result-url", "", "URL of the result")
	return newAdminCommand(options, command,
		func(ctx context.Context, client *adminclient.Client, arguments []string) (adminclient.AcceptedRejection, error) {
			return client.AcceptRejection(ctx, arguments[0], job, resultURL)
		}, describeAccepted)
}

func describeAccepted(result adminclient.AcceptedRejection, client *adminclient.Client) string {
	text := fmt.Sprintf("rejection %d accepted as event %s", result.ID, printable(string(result.Event)))
	switch {
	case result.Status == "duplicate":
		text += ", which was stored before"
	case client.IsOffline():
		text += "; it is processed" + whenOnline(client)
	}
	return text + "\n"
}

func newRejectionsDelete(options *adminOptions) *cobra.Command {
	command := &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete a rejected callback",
		Example: "  receiver rejections delete 7",
		Args:    cobra.ExactArgs(1),
	}
	return newAdminCommand(options, command,
		func(ctx context.Context, client *adminclient.Client, arguments []string) (adminclient.DeletedRejection, error) {
			return client.DeleteRejection(ctx, arguments[0])
		},
		func(result adminclient.DeletedRejection, _ *adminclient.Client) string {
			return fmt.Sprintf("rejection %d deleted\n", result.ID)
		})
}
