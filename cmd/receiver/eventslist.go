package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

// maxListed bounds a list, in rows.
const maxListed = 10_000

func newEventsList(options *adminOptions) *cobra.Command {
	var filter filterFlags
	var limit int
	var asJSON bool
	command := &cobra.Command{
		Use:     "list",
		Short:   "List events, newest first",
		Example: "  receiver events list\n  receiver events list --status dead --reason expired --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			events := []adminclient.EventSummary{}
			err := options.use(command, func(ctx context.Context, client *adminclient.Client) error {
				return client.ListEvents(ctx, filter.values(), limit, func(e adminclient.EventSummary) error {
					events = append(events, e)
					return nil
				})
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(command.OutOrStdout(), events)
			}
			return printEvents(command.OutOrStdout(), events)
		},
	}
	filter.add(command)
	addLimit(command, &limit)
	addJSON(command, &asJSON)
	return command
}

// addLimit adds the flag that bounds a list.
func addLimit(command *cobra.Command, limit *int) {
	command.Flags().IntVar(limit, "limit", 50, "maximum number of rows")
}

func checkLimit(limit int) error {
	if limit < 1 || limit > maxListed {
		return wrongUsage("--limit must be from 1 to %d", maxListed)
	}
	return nil
}

func printEvents(out io.Writer, events []adminclient.EventSummary) error {
	rows := [][]string{{"ID", "JOB", "STATE", "RECEIVED", "IMAGES", "WHY"}}
	for _, e := range events {
		why := ""
		if e.Reason != "" {
			why = e.Handler + ": " + string(e.Reason)
		}
		rows = append(rows, []string{string(e.ID), e.Job, string(e.State), e.Received.UTC().Format(time.RFC3339), strconv.Itoa(e.Images), why})
	}
	return printColumns(out, rows)
}

// printColumns prints rows as a table whose columns are as wide as their longest cell.
func printColumns(out io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for n := range row {
			row[n] = printable(row[n])
			widths[n] = max(widths[n], len([]rune(row[n])))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for n, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[n], cell)
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return printResult(out, text.String())
}
