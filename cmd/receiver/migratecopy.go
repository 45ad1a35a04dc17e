package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/spf13/cobra"
)

func newMigrateCopy() *cobra.Command {
	var from, to string
	var asJSON bool
	command := &cobra.Command{
		Use:   "copy",
		Short: "Carry events, steps and history from SQLite to Postgres",
		Long: `Carry the events of an embedded receiver over to Postgres: bodies, steps with their attempts and artifacts,
and what is still to be done. Stop the receiver that uses the source first; receivers on the target may run.

It can be run again, also after it was broken off: what is in the target already is left as it is. At the end it
counts everything again; the exit code is 1 when something is missing. Bodies that were rejected are not
carried over, and images stay where they are: move the bucket with its own tools if it moves too.`,
		Example: "  RECEIVER_DATABASE_URL=postgres://... receiver migrate copy --from sqlite:///var/lib/receiver\n" +
			"  receiver migrate copy --from sqlite://./data --to postgres://receiver@localhost/receiver",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			source, target, err := copyEnds(from, to)
			if err != nil {
				return err
			}
			bar := newProgress(command.ErrOrStderr(), 1, "copying")
			defer bar.close()
			report, err := app.Copy(command.Context(), source, target, bar.setOf)
			if err != nil {
				return err
			}
			bar.close()
			return printCopy(command.OutOrStdout(), report, asJSON)
		},
	}
	command.Flags().StringVar(&from, "from", "", "source, sqlite:// and a folder (default: RECEIVER_DATA_DIR)")
	command.Flags().StringVar(&to, "to", "",
		"target, postgres://user:password@host/database (default: RECEIVER_DATABASE_URL, which other users of the machine do not see)")
	addJSON(command, &asJSON)
	return command
}

// copyEnds gives the configurations of source and target.
func copyEnds(from, to string) (source, target config.Config, err error) {
	c, err := config.Load(builtin.All())
	var faults *config.Faults
	if err != nil && !(errors.As(err, &faults) && to != "") { // with --to little is needed of the environment
		return source, target, err
	}
	source, target = c, c
	source.Database.URL, source.Database.DirectURL = secret.New(from), secret.Value{}
	if to != "" {
		target.Database.URL, target.Database.DirectURL = secret.New(to), secret.Value{}
	}
	switch {
	case from != "" && !strings.HasPrefix(from, "sqlite://"):
		return source, target, wrongUsage("--from must be sqlite:// and a folder")
	case !target.Database.IsPostgres():
		return source, target, wrongUsage("the target must be Postgres: give --to, or set RECEIVER_DATABASE_URL")
	}
	if err := database.CheckPostgres(target.Database.URL); err != nil {
		return source, target, wrongUsage("--to %s", err)
	}
	return source, target, nil
}

var errIncomplete = errors.New("the target lacks something that the source has; nothing is lost, run it again")

func printCopy(w io.Writer, report app.CopyReport, asJSON bool) error {
	if asJSON {
		if err := printJSON(w, report); err != nil {
			return err
		}
	} else if err := printResult(w, copyText(report)); err != nil {
		return err
	}
	if !report.Complete {
		return errIncomplete
	}
	return nil
}

func copyText(report app.CopyReport) string {
	in, out := report.Inbox, report.Work
	var text strings.Builder
	fmt.Fprintf(&text, "accepted  %d in the source: %d copied, %d were there already, %d the target had accepted itself\n",
		in.Found, in.Fresh, in.Known, in.OtherID)
	fmt.Fprintf(&text, "history   %d in the source: %d copied with %d steps, %d attempts and %d artifacts, %d were there already, %d not taken\n",
		out.Found, out.Fresh, out.Steps, out.Attempts, out.Artifacts, out.Known, out.NoInbox)
	fmt.Fprintf(&text, "open      %d steps go on in the target\n", out.Jobs)
	if report.Complete {
		text.WriteString("counted again: everything is there\n")
	}
	return text.String()
}
