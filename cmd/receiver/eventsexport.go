package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

// maxExported bounds an export, in events. A second export can continue with --to.
const maxExported = 10_000_000

func newEventsExport(options *adminOptions) *cobra.Command {
	var filter filterFlags
	var format string
	command := &cobra.Command{
		Use:     "export",
		Short:   "Write all events that match the flags as NDJSON or CSV",
		Example: "  receiver events export > events.ndjson\n  receiver events export --status dead --format csv > dead.csv",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			write, flush, err := exporter(command.OutOrStdout(), format)
			if err != nil {
				return err
			}
			err = options.use(command, func(ctx context.Context, client *adminclient.Client) error {
				return client.ListEvents(ctx, filter.values(), maxExported, write)
			})
			if err != nil {
				return err
			}
			return flush()
		},
	}
	filter.add(command)
	command.Flags().StringVar(&format, "format", "ndjson", "ndjson or csv")
	return command
}

// exporter returns functions that write one event, and what is buffered.
func exporter(out io.Writer, format string) (write func(adminclient.EventSummary) error, flush func() error, err error) {
	switch format {
	case "ndjson":
		return func(e adminclient.EventSummary) error { return writeJSON(out, e, "") }, func() error { return nil }, nil
	case "csv":
		table := csv.NewWriter(out)
		err := table.Write([]string{"id", "job", "status", "received_at", "bytes", "images", "handler", "reason", "detail", "reference", "input"})
		if err != nil {
			return nil, nil, fmt.Errorf("print the result: %w", err)
		}
		flush := func() error {
			table.Flush()
			return table.Error()
		}
		return func(e adminclient.EventSummary) error { return table.Write(csvRow(e)) }, flush, nil
	default:
		return nil, nil, wrongUsage("--format must be ndjson or csv")
	}
}

func csvRow(e adminclient.EventSummary) []string {
	row := []string{
		string(e.ID), e.Job, string(e.State), e.Received.UTC().Format(time.RFC3339Nano), strconv.FormatInt(e.Bytes, 10),
		strconv.Itoa(e.Images), e.Handler, string(e.Reason), e.Detail, e.Reference, e.Input,
	}
	for i, cell := range row {
		row[i] = csvCell(cell)
	}
	return row
}

// csvCell prevents a spreadsheet from interpreting text as a formula, also when it separates cells by another
// character than the comma. Control characters and line feeds are escaped, so that they cannot hide one.
func csvCell(text string) string {
	text = strings.ReplaceAll(escapeControls(text), "\n", `\n`)
	var cell strings.Builder
	start := true // of a cell, whatever the separator
	for i, r := range text {
		if start && isFormula(text[i:]) {
			cell.WriteByte('\'')
		}
		cell.WriteRune(r)
		start = strings.ContainsRune(",;|\"", r)
	}
	return cell.String()
}

// isFormula reports whether a spreadsheet would interpret the cell as a formula. Full-width signs count.
func isFormula(cell string) bool {
	for _, r := range strings.TrimLeft(cell, " ") {
		return strings.ContainsRune("=+-@＝＋－＠", r)
	}
	return false
}
