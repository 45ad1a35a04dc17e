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
		Short: "Bring the stores' schemas up to date",
		Long: `Bring the schemas of all stores up to date and say their versions. "receiver serve" does that by itself
when it starts; this is for those who want to do it before. Embedded, it needs the data folder for itself:
stop the receiver first. In Postgres replicas may go on running.`,
		Example: "  receiver migrate\n  receiver migrate --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := config.Load(builtin.All())
			if err != nil {
				return err
			}
			done, err := app.Migrate(command.Context(), c)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(command.OutOrStdout(), done)
			}
			var text strings.Builder
			for _, m := range done {
				fmt.Fprintf(&text, "%-6s  schema version %d\n", m.Store, m.Version)
			}
			return printResult(command.OutOrStdout(), text.String())
		},
	}
	addJSON(command, &asJSON)
	command.AddCommand(newMigrateCopy())
	return command
}
