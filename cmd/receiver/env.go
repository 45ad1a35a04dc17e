package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/spf13/cobra"
)

func newEnv() *cobra.Command {
	var asJSON, asMarkdown bool
	command := &cobra.Command{
		Use:   "env",
		Short: "List all environment variables with their values",
		Long: `List every environment variable with its value and origin, its meaning, its default and its range. Secrets are
redacted. Faults of the configuration are printed to standard error; the exit code is then 2.

--markdown prints the table of the manual, without values of the environment.`,
		Example: "  receiver env\n  receiver env --json\n  RECEIVER_LOG_LEVEL=debug receiver env",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			table := config.Table(builtin.All())
			out := command.OutOrStdout()
			if asMarkdown {
				return printResult(out, config.Markdown(table))
			}
			if err := printTable(out, table, asJSON); err != nil {
				return err
			}
			_, err := config.Load(builtin.All())
			return err
		},
	}
	addJSON(command, &asJSON)
	command.Flags().BoolVar(&asMarkdown, "markdown", false, "print the table of the manual as Markdown")
	command.MarkFlagsMutuallyExclusive("json", "markdown")
	return command
}

func printTable(out io.Writer, table []config.Variable, asJSON bool) error {
	if asJSON {
		return printJSON(out, table)
	}
	width := 0
	for _, row := range table {
		width = max(width, len(row.Name))
	}
	var text strings.Builder
	for _, row := range table {
		fmt.Fprintf(&text, "%-*s  %s\n    %s\n", width, row.Name, valueOf(row), noteOf(row))
	}
	return printResult(out, text.String())
}

func valueOf(row config.Variable) string {
	value := printable(row.Value)
	switch row.Source {
	case config.SourceNone:
		return "(not set)"
	case config.SourceSet:
		return value + "  (set)"
	case config.SourceFile:
		return value + "  (from a file)"
	case config.SourcePort:
		return value + "  (from PORT)"
	default:
		return value
	}
}

// noteOf returns the meaning, the range and the default.
func noteOf(row config.Variable) string {
	note := row.Meaning
	if row.Range != "" {
		note += "; " + row.Range
	}
	switch {
	case row.Unset != "":
		note += "; when not set: " + row.Unset
	case row.Default != "" && row.Source != config.SourceDefault:
		note += "; default " + row.Default
	}
	return note
}
