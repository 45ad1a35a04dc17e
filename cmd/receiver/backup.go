package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/backup"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/spf13/cobra"
)

func newBackup() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the SQLite databases of a running receiver",
		Long: `Copy both SQLite databases and the generated webhook token into an empty or new folder. The receiver can
keep running. Do not copy the database files themselves: a running receiver has a part of them in other
files, and changes them meanwhile.

Stored images are not copied. They never change, so any program can copy their folder, after this command.
For Postgres use its own tools, such as pg_dump.`,
		Example: "  receiver backup /backup/2026-11-29\n  docker exec receiver /receiver backup /data/backup",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			c, err := config.Load(builtin.All())
			if err != nil {
				return err
			}
			manifest, err := app.Backup(command.Context(), c, arguments[0])
			if err != nil {
				return err
			}
			return printManifest(command, manifest, asJSON)
		},
	}
	addJSON(command, &asJSON)
	return command
}

func newRestore() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "restore DIR",
		Short: "Put a backup into the data folder of a stopped receiver",
		Long: `Put the databases and the token of a backup into the data folder, which must have no databases and no other
token. Every file is compared with its SHA-256 first. The receiver that starts on it migrates the databases,
continues open work, and takes repeated callbacks for duplicates as before.`,
		Example: "  receiver restore /backup/2026-11-29",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			c, err := config.Load(builtin.All())
			if err != nil {
				return err
			}
			manifest, err := app.Restore(command.Context(), c, arguments[0])
			if err != nil {
				return err
			}
			return printManifest(command, manifest, asJSON)
		},
	}
	addJSON(command, &asJSON)
	return command
}

func printManifest(command *cobra.Command, manifest backup.Manifest, asJSON bool) error {
	if asJSON {
		return printJSON(command.OutOrStdout(), manifest)
	}
	var text strings.Builder
	for _, f := range manifest.Files {
		fmt.Fprintf(&text, "%-13s  %12d bytes  sha256 %s\n", f.Name, f.Bytes, f.SHA256)
	}
	fmt.Fprintf(&text, "created %s by version %s\n", manifest.Created.Format("2006-01-02 15:04:05 MST"), manifest.Version)
	return printResult(command.OutOrStdout(), text.String())
}

var errProblems = errors.New("the stores have problems")

func newVerify() *cobra.Command {
	var asJSON, repair bool
	command := &cobra.Command{
		Use:   "verify",
		Short: "Verify both stores and every stored file",
		Long: `Read the stores to their ends and compare them with each other, and every stored file with its SHA-256. It
changes nothing, and the receiver can keep running. The exit code is 1 when there is a problem:

  damaged    the structure of a database file is damaged: restore a backup
  not_added  the work store lacks an accepted event: --repair has it processed again
  no_body    the inbox lacks the body of an event: its open steps end as dead with reason storage
  missing    a stored file is not there: "receiver events replay EVENT --finished" fetches it again
  changed    a stored file has other bytes: as for missing

With SQLite, --repair needs a stopped receiver.`,
		Example: "  receiver verify\n  receiver verify --repair\n  receiver verify --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := config.Load(builtin.All())
			if err != nil {
				return err
			}
			bar := newProgress(command.ErrOrStderr(), 1, "verifying")
			defer bar.close()
			report, err := app.Verify(command.Context(), c, repair, bar.setOf)
			if err != nil {
				return err
			}
			bar.close()
			if asJSON {
				err = printJSON(command.OutOrStdout(), report)
			} else {
				err = printResult(command.OutOrStdout(), verifyText(report))
			}
			if err == nil && int64(len(report.Problems)) > report.Repaired {
				err = errProblems
			}
			return err
		},
	}
	command.Flags().BoolVar(&repair, "repair", false, "have events that the work store lacks processed again")
	addJSON(command, &asJSON)
	return command
}

func verifyText(report app.VerifyReport) string {
	var text strings.Builder
	for _, p := range report.Problems {
		fmt.Fprintf(&text, "%-9s", p.Kind)
		for _, column := range []string{string(p.Event), p.Job, p.Key, p.Text} {
			if column != "" {
				fmt.Fprintf(&text, "  %s", printable(column))
			}
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(&text, "%d accepted events, %d events, %d stored files of %d bytes: %d problems\n",
		report.Accepted, report.Events, report.Files, report.Bytes, len(report.Problems))
	if report.Repaired > 0 {
		fmt.Fprintf(&text, "%d events are processed again when the receiver starts\n", report.Repaired)
	}
	return text.String()
}
