package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/spf13/cobra"
)

const (
	maxListed = 10_000 // events of one list
	pageSize  = 200    // events of one request
)

func newEventsList(options *officeOptions) *cobra.Command {
	var filter filterFlags
	var limit int
	var asJSON bool
	command := &cobra.Command{
		Use:     "list",
		Short:   "List events, newest first",
		Example: "  receiver events list\n  receiver events list --status dead --reason expired --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if limit < 1 || limit > maxListed {
				return wrongUsage("--limit must be from 1 to %d", maxListed)
			}
			events := []admin.Summary{}
			err := options.use(command, func(o *office) error {
				return o.walk(command.Context(), filter.values(), limit, func(e admin.Summary) error {
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
	command.Flags().IntVar(&limit, "limit", 50, "how many at most")
	addJSON(command, &asJSON)
	return command
}

// walk goes through the list, newest first, until limit events were seen.
func (o *office) walk(ctx context.Context, filter url.Values, limit int, see func(admin.Summary) error) error {
	for limit > 0 {
		filter.Set("limit", strconv.Itoa(min(limit, pageSize)))
		var page struct {
			Events []admin.Summary
			Cursor event.ID
		}
		if err := o.ask(ctx, http.MethodGet, "/events", filter, &page); err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := see(e); err != nil {
				return err
			}
		}
		if page.Cursor == "" {
			return nil
		}
		limit -= len(page.Events)
		filter.Set("cursor", string(page.Cursor))
	}
	return nil
}

func printEvents(out io.Writer, events []admin.Summary) error {
	rows := [][]string{{"ID", "JOB", "STATE", "RECEIVED", "IMAGES", "WHY"}}
	for _, e := range events {
		why := ""
		if e.Reason != "" {
			why = e.Handler + ": " + string(e.Reason)
		}
		rows = append(rows, []string{string(e.ID), e.Job, string(e.Status), e.Received.UTC().Format(time.RFC3339), strconv.Itoa(e.Images), why})
	}
	return printColumns(out, rows)
}

// printColumns writes rows as a table whose columns are as wide as they must be.
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
