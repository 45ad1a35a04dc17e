package main

import (
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     "version",
		Short:   "Say which build this is",
		Long:    "Say the version, the commit it was built from and when, the Go toolchain and the platform.",
		Example: "  receiver version\n  receiver version --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			info := telemetry.CurrentBuild()
			if asJSON {
				return printJSON(command.OutOrStdout(), info)
			}
			return printResult(command.OutOrStdout(), fmt.Sprintf(
				"receiver  %s\ncommit    %s\ndate      %s\ngo        %s\nplatform  %s\n",
				info.Version, info.Commit, info.Date, info.Go, info.Platform))
		},
	}
	addJSON(command, &asJSON)
	return command
}
