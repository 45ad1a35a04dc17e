package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// replayOptions are the flags of events replay.
type replayOptions struct {
	filter             filterFlags
	all, yes, finished bool
	json               bool
}

func newEventsReplay(desk *officeOptions) *cobra.Command {
	var options replayOptions
	command := &cobra.Command{
		Use:   "replay [ID]",
		Short: "Run dead steps again, of one event or of many",
		Long: `Run the dead steps of an event again, or with --all those of every event that the flags let through. What is
under way already is left alone, so asking twice changes nothing. Many are replayed little by little and
after new work; without --yes it is only said how many that would be.`,
		Example: "  receiver events replay 0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11\n  receiver events replay --all --reason expired --yes",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			if options.all == (len(arguments) == 1) {
				return wrongUsage("name one event, or say --all")
			}
			return desk.use(command, func(o *office) error {
				if options.all {
					return options.many(command, o)
				}
				return options.one(command, o, arguments[0])
			})
		},
	}
	options.filter.add(command)
	command.Flags().BoolVar(&options.all, "all", false, "all events that the other flags let through")
	command.Flags().BoolVar(&options.yes, "yes", false, "with --all: do it")
	command.Flags().BoolVar(&options.finished, "finished", false, "of one event: also steps that are done or skipped")
	addJSON(command, &options.json)
	return command
}

func (r *replayOptions) one(command *cobra.Command, o *office, id string) error {
	query := url.Values{}
	if r.filter.handler != "" {
		query.Set("handler", r.filter.handler)
	}
	if r.finished {
		query.Set("finished", "true")
	}
	var told struct {
		ID    string `json:"id"`
		Steps int    `json:"steps"`
	}
	if err := o.ask(command.Context(), http.MethodPost, "/events/"+url.PathEscape(id)+"/replay", query, &told); err != nil {
		return err
	}
	if r.json {
		return printJSON(command.OutOrStdout(), told)
	}
	return printResult(command.OutOrStdout(), fmt.Sprintf("%d steps run again%s\n", told.Steps, o.later()))
}

func (r *replayOptions) many(command *cobra.Command, o *office) error {
	if r.finished {
		return wrongUsage("--finished is for one event")
	}
	query := r.filter.values()
	if !r.yes {
		query.Set("dry_run", "true")
	}
	var told struct {
		Events int  `json:"events"`
		More   bool `json:"more"`
		DryRun bool `json:"dry_run"`
	}
	if err := o.ask(command.Context(), http.MethodPost, "/replays", query, &told); err != nil {
		return err
	}
	if r.json {
		return printJSON(command.OutOrStdout(), told)
	}
	count := fmt.Sprintf("%d events", told.Events)
	if told.More {
		count = "more than " + count
	}
	if told.DryRun {
		return printResult(command.OutOrStdout(), count+" would run again; --yes does it\n")
	}
	return printResult(command.OutOrStdout(), count+" run again, little by little and after new work"+o.later()+"\n")
}
