package main

import (
	"context"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

// replayOptions are the flags of events replay.
type replayOptions struct {
	filter             filterFlags
	all, yes, finished bool
	json               bool
}

func newEventsReplay(admin *adminOptions) *cobra.Command {
	var options replayOptions
	command := &cobra.Command{
		Use:   "replay [ID]",
		Short: "Run the dead steps of one event, or of many, again",
		Long: `Run the dead steps of an event again, or with --all those of every event that matches the flags.
Steps that are running or done are not changed, so a second replay does no harm.

A bulk replay works in batches, after new events. Without --yes it only counts the events.`,
		Example: "  receiver events replay 0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11\n  receiver events replay --all --reason expired --yes",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			id, err := oneOrAll(arguments, options.all)
			switch {
			case err != nil:
				return err
			case options.all && options.finished:
				return wrongUsage("--finished needs the id of one event")
			}
			return admin.use(command, func(ctx context.Context, client *adminclient.Client) error {
				if options.all {
					return options.replayAll(ctx, command, client)
				}
				return options.replayOne(ctx, command, client, id)
			})
		},
	}
	options.filter.add(command)
	command.Flags().BoolVar(&options.all, "all", false, "every event that matches the other flags")
	command.Flags().BoolVar(&options.yes, "yes", false, "with --all: start the replay instead of counting")
	command.Flags().BoolVar(&options.finished, "finished", false, "with ID: also steps that are done or skipped")
	addJSON(command, &options.json)
	return command
}

func (r *replayOptions) replayOne(ctx context.Context, command *cobra.Command, client *adminclient.Client, id string) error {
	result, err := client.Replay(ctx, id, r.filter.handler, r.finished)
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(command.OutOrStdout(), result)
	}
	text := fmt.Sprintf("%d steps will run again%s", result.Steps, whenOnline(client))
	if result.NoMatch != "" {
		text = "nothing to replay: " + explain(result.NoMatch)
	}
	return printResult(command.OutOrStdout(), text+"\n")
}

func (r *replayOptions) replayAll(ctx context.Context, command *cobra.Command, client *adminclient.Client) error {
	result, err := client.ReplayAll(ctx, r.filter.values(), !r.yes)
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(command.OutOrStdout(), result)
	}
	count := fmt.Sprintf("%d events", result.Events)
	if result.More {
		count = "more than " + count
	}
	if result.NoMatch != "" {
		return printResult(command.OutOrStdout(), "nothing to replay: "+explain(result.NoMatch)+"\n")
	}
	if result.DryRun {
		return printResult(command.OutOrStdout(), count+" match; pass --yes to replay them\n")
	}
	return printResult(command.OutOrStdout(), count+" will be replayed"+whenOnline(client)+"\n")
}

func explain(reason adminclient.NoMatch) string {
	switch reason {
	case adminclient.NoSuchHandler:
		return "there is no such handler; \"receiver targets list\" shows all"
	case adminclient.StatusNotDead:
		return "only dead steps can be replayed; omit --status"
	default:
		return "no dead step matches"
	}
}
