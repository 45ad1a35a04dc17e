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
		Short: "Copy events, steps and history from SQLite to Postgres",
		Long: `Copy the events of a receiver with SQLite to Postgres: bodies, steps with their attempts and artifacts, and
pending work. Stop the receiver that uses the source first; receivers on the target can keep running.

It can be run again, also after an interruption: rows that the target has are not changed. At the end it
verifies the counts; the exit code is 1 when something is missing. Rejected bodies are not copied, and
images stay where they are.`,
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
	command.Flags().StringVar(&from, "from", "", "source: sqlite:// and a folder (default: RECEIVER_DATA_DIR)")
	command.Flags().StringVar(&to, "to", "",
		"target: postgres://user:password@host/database (default: RECEIVER_DATABASE_URL)")
	addJSON(command, &asJSON)
	return command
}

// copyEnds returns the configurations of source and target.
func copyEnds(from, to string) (source, target config.Config, err error) {
	c, err := config.Load(builtin.All())
	var faults *config.ValidationErrors
	if err != nil && !(errors.As(err, &faults) && to != "") { // with --to, faults of other variables do not matter
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

var errIncomplete = errors.New("the target is incomplete; nothing is lost, run the command again")

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
	fmt.Fprintf(&text, "accepted  %d in the source: %d copied, %d already there, %d accepted by the target itself\n",
		in.Found, in.Fresh, in.Known, in.OtherID)
	fmt.Fprintf(&text, "history   %d in the source: %d copied with %d steps, %d attempts and %d artifacts, %d already there, %d not in the inbox\n",
		out.Found, out.Fresh, out.Steps, out.Attempts, out.Artifacts, out.Known, out.NoInbox)
	fmt.Fprintf(&text, "open      %d steps continue in the target\n", out.Jobs)
	if report.Complete {
		text.WriteString("verified: the target is complete\n")
	}
	return text.String()
}
