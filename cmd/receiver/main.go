// Command receiver accepts Deep Image's "job complete" webhooks durably and
// downloads the result images safely.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit code. The first SIGTERM or SIGINT cancels the context; a
// second one ends the process.
func run(arguments []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	root := newRoot()
	root.SetArgs(arguments)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	command, err := root.ExecuteContextC(ctx)
	return exitCode(errOut, command.CommandPath(), err)
}

// newRoot returns the tree of commands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "receiver",
		Short: "Receive Deep Image webhooks and download the results",
		Long: `Accept Deep Image "job complete" webhooks durably and download the result images safely.

All configuration is in environment variables; "receiver env" lists them.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.`,
		Example:       "  receiver demo\n  receiver serve\n  receiver send",
		Version:       telemetry.CurrentBuild().Version,
		SilenceErrors: true, // exitCode prints them
		SilenceUsage:  true,
	}
	root.AddCommand(
		newServe(), newDemo(), newSend(), newCheck(), newEnv(), newEvents(), newRejections(), newTargets(), newSubmit(), newJobs(),
		newMigrate(), newBackup(), newRestore(), newVerify(), newHealthcheck(), newVersion(),
	)
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultCompletionCmd()
	prepare(root)
	return root
}

// prepare marks what a command returns, and lets a command with subcommands reject unknown ones.
func prepare(command *cobra.Command) {
	if command.HasSubCommands() {
		command.Args = rejectSubcommand
		if command.RunE == nil {
			command.RunE = func(command *cobra.Command, _ []string) error { return command.Help() }
		}
	}
	if inner := command.RunE; inner != nil {
		command.RunE = func(command *cobra.Command, arguments []string) error {
			if err := inner(command, arguments); err != nil {
				return &runError{err}
			}
			return nil
		}
	}
	for _, child := range command.Commands() {
		prepare(child)
	}
}

// rejectSubcommand is for arguments that are not the name of a subcommand.
func rejectSubcommand(command *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", arguments[0], command.CommandPath())
	command.SuggestionsMinimumDistance = 2
	if near := command.SuggestionsFor(arguments[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return &usageError{text}
}

func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Show the help of a command",
		RunE: func(_ *cobra.Command, path []string) error {
			command, rest, err := root.Find(path)
			if err != nil {
				return err
			}
			if err := rejectSubcommand(command, rest); err != nil {
				return err
			}
			command.InitDefaultHelpFlag()
			return command.Help()
		},
	}
}

func newVersion() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, date, toolchain and platform",
		Example: "  receiver version\n  receiver version --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			build := telemetry.CurrentBuild()
			if asJSON {
				return printJSON(command.OutOrStdout(), build)
			}
			return printResult(command.OutOrStdout(), fmt.Sprintf(
				"receiver  %s\ncommit    %s\ndate      %s\ngo        %s\nplatform  %s\n",
				build.Version, build.Commit, build.Date, build.Go, build.Platform))
		},
	}
	addJSON(command, &asJSON)
	return command
}
