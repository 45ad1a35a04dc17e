package main

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

func newEventsList(options *adminOptions) *cobra.Command {
	var filter filterFlags
	command := &cobra.Command{
		Short:   "List events, newest first",
		Example: "  receiver events list\n  receiver events list --status dead --reason expired --json",
	}
	filter.add(command)
	table := columns[adminclient.EventSummary]{header: []string{"REFERENCE", "INPUT", "ID", "JOB", "STATE", "RECEIVED", "IMAGES", "WHY"}, row: eventRow}
	return newListCommand(options, command, table,
		func(ctx context.Context, client *adminclient.Client, limit int, yield func(adminclient.EventSummary) error) error {
			return client.ListEvents(ctx, filter.values(), limit, yield)
		})
}

func eventRow(e adminclient.EventSummary) []string {
	why := ""
	if e.Reason != "" {
		why = e.Handler + ": " + string(e.Reason)
	}
	return []string{
		cmp.Or(e.Reference, "-"), cmp.Or(e.Input, "-"), string(e.ID), e.Job, string(e.State),
		e.Received.UTC().Format(time.RFC3339), strconv.Itoa(e.Images), why,
	}
}
