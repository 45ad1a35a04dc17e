package main

import (
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/spf13/cobra"
)

// newRoot makes the tree of commands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "receiver",
		Short: "Receive Deep Image webhooks durably and download the result images safely",
		Long: `Receive Deep Image "job complete" webhooks durably and download the result images safely.

Everything is set by environment variables; "receiver env" lists them.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.`,
		Example:       "  receiver demo\n  receiver serve\n  receiver send",
		Version:       telemetry.CurrentBuild().Version,
		SilenceErrors: true, // report prints them
		SilenceUsage:  true,
	}
	root.AddCommand(
		newServe(), newDemo(), newSend(), newCheck(), newEnv(), newEvents(), newTargets(), newSubmit(), newJobs(),
		newMigrate(), newHealthcheck(), newVersion(),
	)
	markStarts(root)
	return root
}

// markStarts marks every command below one.
func markStarts(above *cobra.Command) {
	for _, command := range above.Commands() {
		markStart(command)
		markStarts(command)
	}
}

// markStart lets report tell a command line that cobra refused from a command that failed.
func markStart(command *cobra.Command) {
	inner := command.RunE
	if inner == nil {
		return // it only groups others
	}
	command.RunE = func(command *cobra.Command, arguments []string) error {
		if err := inner(command, arguments); err != nil {
			return &startedError{err}
		}
		return nil
	}
}
