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
	var asJSON, compact bool
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Migrate the schemas of all stores",
		Long: `Migrate the schemas of all stores and print their versions. "receiver serve" does the same when it starts.
With SQLite, stop the receiver first: migrate needs the data folder for itself. With Postgres, replicas can
keep running.

--compact also writes the SQLite files anew, without their free space. Files of earlier versions shrink by
themselves from then on. The disk needs space for a copy of the larger file.`,
		Example: "  receiver migrate\n  receiver migrate --json\n  receiver migrate --compact",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := config.Load(builtin.All())
			if err != nil {
				return err
			}
			migrated, err := app.Migrate(command.Context(), c, compact)
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
	command.Flags().BoolVar(&compact, "compact", false, "write the SQLite files anew, without their free space")
	command.AddCommand(newMigrateCopy())
	return command
}
