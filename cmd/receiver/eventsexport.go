package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

// maxExported bounds an export, in events; one goes on from the last with --to.
const maxExported = 10_000_000

func newEventsExport(options *adminOptions) *cobra.Command {
	var filter filterFlags
	var format string
	command := &cobra.Command{
		Use:     "export",
		Short:   "Write all events that the flags let through, as NDJSON or CSV",
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

// exporter writes one event after the other.
func exporter(out io.Writer, format string) (write func(adminclient.EventSummary) error, flush func() error, err error) {
	switch format {
	case "ndjson":
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		return func(e adminclient.EventSummary) error { return encoder.Encode(e) }, func() error { return nil }, nil
	case "csv":
		table := csv.NewWriter(out)
		err := table.Write([]string{"id", "job", "status", "received_at", "bytes", "images", "handler", "reason", "detail"})
		if err != nil {
			return nil, nil, fmt.Errorf("print the result: %w", err)
		}
		flush := func() error {
			table.Flush()
			return table.Error()
		}
		return func(e adminclient.EventSummary) error { return table.Write(cellsOf(e)) }, flush, nil
	default:
		return nil, nil, wrongUsage("--format must be ndjson or csv")
	}
}

func cellsOf(e adminclient.EventSummary) []string {
	return []string{
		string(e.ID), harmlessCell(e.Job), string(e.State), e.Received.UTC().Format(time.RFC3339Nano), strconv.FormatInt(e.Bytes, 10),
		strconv.Itoa(e.Images), harmlessCell(e.Handler), string(e.Reason), harmlessCell(e.Detail),
	}
}

// harmlessCell keeps a spreadsheet from taking a stranger's text for a formula.
func harmlessCell(text string) string {
	if trimmed := strings.TrimLeft(text, " \t\r\n"); trimmed != "" && strings.ContainsRune("=+-@", rune(trimmed[0])) {
		return "'" + text
	}
	return text
}
