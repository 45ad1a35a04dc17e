package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

func newEvents() *cobra.Command {
	command := &cobra.Command{
		Use:   "events",
		Short: "List, show, replay, release and export events",
		Long: `List, show, replay, release and export events of a running receiver, through its admin listener: the one at
RECEIVER_ADMIN_ADDR on this machine, or --url. RECEIVER_ADMIN_TOKEN opens it where it asks for a token.

When nobody listens there, the store that the configuration names is opened instead: the data folder while no
receiver has it, or Postgres. What is to run again or goes on does so as soon as a receiver runs.`,
		Example: "  receiver events list --status dead\n  receiver events show 0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11",
	}
	var options adminOptions
	options.add(command)
	command.AddCommand(newEventsList(&options), newEventsShow(&options), newEventsReplay(&options), newEventsRelease(&options), newEventsExport(&options))
	return command
}

// filterFlags are the filters of the list, as the admin API takes them.
type filterFlags struct{ status, job, query, handler, reason, from, to string }

func (f *filterFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.status, "status", "", "pending, running, retrying, done, dead or quarantined; with --handler, of its step")
	flags.StringVar(&f.job, "job", "", "the job, exactly")
	flags.StringVar(&f.query, "q", "", "how the job or the id begins")
	flags.StringVar(&f.handler, "handler", "", "the event has a step of this handler")
	flags.StringVar(&f.reason, "reason", "", "why a step failed, or is tried again, such as expired; with --handler, its step")
	flags.StringVar(&f.from, "from", "", "received at or after, such as 2026-01-31T12:00:00Z or 2026-01-31")
	flags.StringVar(&f.to, "to", "", "received before")
}

func (f *filterFlags) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{
		"status": f.status, "job": f.job, "q": f.query, "handler": f.handler, "reason": f.reason, "from": f.from, "to": f.to,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}
