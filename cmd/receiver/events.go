package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

func newEvents() *cobra.Command {
	command := &cobra.Command{
		Use:   "events",
		Short: "List, show, replay, release and export events",
		Long: `List, show, replay, release and export events through the admin listener of a running receiver: --url, or
RECEIVER_ADMIN_ADDR on this machine. RECEIVER_ADMIN_TOKEN is sent where a token is required.

If no receiver listens there, the command works on the store in offline mode. Replayed and released events
are processed when a receiver runs.`,
		Example: "  receiver events list --status dead\n  receiver events show 0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11",
	}
	var options adminOptions
	options.add(command)
	command.AddCommand(newEventsList(&options), newEventsShow(&options), newEventsReplay(&options), newEventsRelease(&options),
		newEventsPurge(&options), newEventsErase(&options), newEventsExport(&options))
	return command
}

// filterFlags are the filters of the list, as the admin API names them.
type filterFlags struct{ status, job, query, handler, reason, from, to string }

func (f *filterFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.status, "status", "", "pending, running, retrying, done, dead or quarantined; with --handler, of its step")
	flags.StringVar(&f.job, "job", "", "exact id of the job")
	flags.StringVar(&f.query, "q", "", "prefix of the job, of the id, or of words of the reference and the input")
	flags.StringVar(&f.handler, "handler", "", "name of a step that the event has")
	flags.StringVar(&f.reason, "reason", "", "reason why a step failed or is retried, such as expired")
	flags.StringVar(&f.from, "from", "", "received at or after, such as 2026-01-31 or 2026-01-31T12:00:00Z")
	flags.StringVar(&f.to, "to", "", "received before this time")
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
