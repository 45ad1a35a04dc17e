package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func newEventsShow(options *adminOptions) *cobra.Command {
	var asJSON, body, original bool
	command := &cobra.Command{
		Use:   "show ID|JOB",
		Short: "Show one event with its steps, attempts and files",
		Example: "  receiver events show 0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11 --json\n" +
			"  receiver events show ce0e7624-634e-11ee-a699-0242ac14000b --original > body.bin",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return options.use(command, func(ctx context.Context, client *adminclient.Client) error {
				e, raw, err := client.FindEvent(ctx, arguments[0])
				if err != nil {
					return err
				}
				switch {
				case asJSON:
					return printJSON(command.OutOrStdout(), raw)
				case original:
					return printEventBody(ctx, command, client.EventOriginal, e.ID)
				case body:
					return printEventBody(ctx, command, client.EventBody, e.ID)
				}
				return printResult(command.OutOrStdout(), describeEvent(e))
			})
		},
	}
	addJSON(command, &asJSON)
	command.Flags().BoolVar(&body, "body", false, "print the body instead, byte for byte, secrets included")
	command.Flags().BoolVar(&original, "original", false, "print the body as it came: compressed, or as a form")
	command.MarkFlagsMutuallyExclusive("json", "body", "original")
	return command
}

// printEventBody prints what load returns for an event.
func printEventBody(
	ctx context.Context, command *cobra.Command, load func(context.Context, event.ID) ([]byte, error), id event.ID,
) error {
	body, err := load(ctx, id)
	if err != nil {
		return err
	}
	return printBody(command.OutOrStdout(), body, isTerminal(command.OutOrStdout()))
}

func describeEvent(e adminclient.Event) string {
	var text strings.Builder
	if e.Reference != "" {
		fmt.Fprintf(&text, "reference %s\n", printable(e.Reference))
	}
	if e.Input != "" {
		fmt.Fprintf(&text, "input     %s\n", printable(e.Input))
	}
	fmt.Fprintf(&text, "event     %s\njob       %s\nstate     %s\nreceived  %s, %s\n",
		e.ID, printable(e.Job), e.State, e.Received.UTC().Format(time.RFC3339), humanize.IBytes(uint64(max(e.Bytes, 0))))
	for _, step := range e.Steps {
		fmt.Fprintf(&text, "\nstep      %s  %s", step.Handler, step.State)
		if step.Reason != "" {
			fmt.Fprintf(&text, "  %s: %s", step.Reason, printable(step.Detail))
		}
		text.WriteString("\n")
		for _, attempt := range step.Attempts {
			text.WriteString(describeAttempt(attempt))
		}
	}
	for _, a := range e.Artifacts {
		fmt.Fprintf(&text, "\nfile %-4d %s\n          %s  %s  %d x %d  sha256 %s\n",
			a.Number, printable(a.URL), a.MediaType, humanize.IBytes(uint64(max(a.Bytes, 0))), a.Width, a.Height, a.SHA256)
	}
	return text.String()
}

func describeAttempt(a adminclient.Attempt) string {
	took := "not ended"
	if !a.Finished.IsZero() {
		took = a.Finished.Sub(a.Started).Round(time.Millisecond).String()
	}
	why := strings.TrimLeft(string(a.Reason)+": "+printable(a.Detail), ": ")
	began := a.Started.UTC().Format(time.RFC3339)
	return strings.TrimRight("  attempt "+strconv.Itoa(a.Number)+"  "+began+"  "+took+"  "+string(a.Outcome)+"  "+why, " ") + "\n"
}
