package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newEventsRelease(options *officeOptions) *cobra.Command {
	var all, verify, asJSON bool
	command := &cobra.Command{
		Use:   "release [ID]",
		Short: "Let a quarantined event go on, or all of them",
		Long: `Let a quarantined event go on though Deep Image does not vouch for it, or with --all every one. With --verify Deep
Image is only asked once more, and what it knows by now goes on.`,
		Example: "  receiver events release 0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11\n  receiver events release --all --verify",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			if all == (len(arguments) == 1) {
				return wrongUsage("name one event, or say --all")
			}
			action, path := "release", "/quarantine/"
			if verify {
				action = "verify"
			}
			told := struct {
				ID     string `json:"id,omitempty"`
				Events int    `json:"events"`
				Action string `json:"action"`
			}{Events: 1}
			if !all {
				path = "/events/" + url.PathEscape(arguments[0]) + "/"
			}
			return options.use(command, func(o *office) error {
				if err := o.ask(command.Context(), http.MethodPost, path+action, nil, &told); err != nil {
					return err
				}
				if asJSON {
					return printJSON(command.OutOrStdout(), told)
				}
				text := fmt.Sprintf("%d events released", told.Events)
				switch {
				case verify:
					text = fmt.Sprintf("Deep Image is asked again about %d events%s", told.Events, o.later())
				case o.later() != "":
					text += "; they go on" + o.later()
				}
				return printResult(command.OutOrStdout(), text+"\n")
			})
		},
	}
	command.Flags().BoolVar(&all, "all", false, "every event that is quarantined now")
	command.Flags().BoolVar(&verify, "verify", false, "only ask Deep Image once more")
	addJSON(command, &asJSON)
	return command
}
