package main

import (
	"fmt"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/spf13/cobra"
)

func newMigrate() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Migrate the schemas of all stores",
		Long: `Migrate the schemas of all stores and print their versions. "receiver serve" does the same when it starts.
With SQLite, stop the receiver first: migrate needs the data folder for itself. With Postgres, replicas can
keep running.`,
		Example: "  receiver migrate\n  receiver migrate --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := config.Load(builtin.All())
			if err != nil {
				return err
			}
			migrated, err := app.Migrate(command.Context(), c)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(command.OutOrStdout(), migrated)
			}
			var text strings.Builder
			for _, m := range migrated {
				fmt.Fprintf(&text, "%-6s  schema version %d\n", m.Store, m.Version)
			}
			return printResult(command.OutOrStdout(), text.String())
		},
	}
	addJSON(command, &asJSON)
	command.AddCommand(newMigrateCopy())
	return command
}
