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
	var limit int
	var asJSON bool
	command := &cobra.Command{
		Use:     "list",
		Short:   "List rejected callbacks, newest first",
		Example: "  receiver rejections list --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			rejections := []adminclient.Rejection{}
			err := options.use(command, func(ctx context.Context, client *adminclient.Client) error {
				return client.ListRejections(ctx, limit, func(r adminclient.Rejection) error {
					rejections = append(rejections, r)
					return nil
				})
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(command.OutOrStdout(), rejections)
			}
			rows := [][]string{{"ID", "RECEIVED", "BYTES", "CODE", "JOB", "WHY"}}
			for _, r := range rejections {
				rows = append(rows, []string{
					strconv.FormatInt(r.ID, 10), r.Received.UTC().Format(time.RFC3339), strconv.Itoa(r.Bytes), string(r.Code), r.Job, r.Detail,
				})
			}
			return printColumns(command.OutOrStdout(), rows)
		},
	}
	addLimit(command, &limit)
	addJSON(command, &asJSON)
	return command
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
	var asJSON bool
	command := &cobra.Command{
		Use:   "accept ID",
		Short: "Store a rejected callback as an event",
		Long: `Store a rejected callback as an event. --job and --result-url replace what is in its body; --job is required if the
body has no valid job.`,
		Example: "  receiver rejections accept 7 --job ce0e7624-634e-11ee-a699-0242ac14000b --result-url https://deep-image.ai/a.png",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return options.use(command, func(ctx context.Context, client *adminclient.Client) error {
				result, err := client.AcceptRejection(ctx, arguments[0], job, resultURL)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(command.OutOrStdout(), result)
				}
				text := fmt.Sprintf("rejection %d accepted as event %s", result.ID, printable(string(result.Event)))
				switch {
				case result.Status == "duplicate":
					text += ", which was stored before"
				case client.IsOffline():
					text += "; it is processed" + whenOnline(client)
				}
				return printResult(command.OutOrStdout(), text+"\n")
			})
		},
	}
	command.Flags().StringVar(&job, "job", "", "id of the job")
	command.Flags().StringVar(&resultURL, "result-url", "", "URL of the result")
	addJSON(command, &asJSON)
	return command
}

func newRejectionsDelete(options *adminOptions) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete a rejected callback",
		Example: "  receiver rejections delete 7",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return options.use(command, func(ctx context.Context, client *adminclient.Client) error {
				result, err := client.DeleteRejection(ctx, arguments[0])
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(command.OutOrStdout(), result)
				}
				return printResult(command.OutOrStdout(), fmt.Sprintf("rejection %d deleted\n", result.ID))
			})
		},
	}
	addJSON(command, &asJSON)
	return command
}
