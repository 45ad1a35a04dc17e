package main

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/spf13/cobra"
)

func newJobs() *cobra.Command {
	command := &cobra.Command{
		Use:   "jobs",
		Short: "List and track jobs whose completion is expected",
		Long: `List and track jobs whose completion is expected. If the callback of a tracked job does not arrive within
RECEIVER_RECONCILE_AFTER, the receiver asks Deep Image for the result. After RECEIVER_RECONCILE_HORIZON
without a result the job is marked lost; a later callback is still accepted.

"receiver submit" tracks its jobs by itself.`,
		Example: "  receiver jobs list --state lost\n  receiver jobs track ce0e7624-634e-11ee-a699-0242ac14000b",
	}
	var options adminOptions
	options.add(command)
	command.AddCommand(newJobsList(&options), newJobsTrack(&options))
	return command
}

func newJobsList(options *adminOptions) *cobra.Command {
	var state string
	command := &cobra.Command{
		Short:   "List tracked jobs, newest first",
		Example: "  receiver jobs list\n  receiver jobs list --state lost --json",
	}
	command.Flags().StringVar(&state, "state", "", "submitting, waiting, arrived, reconciled, failed, expired or lost")
	return newListCommand(options, command, jobColumns(),
		func(ctx context.Context, client *adminclient.Client, limit int, yield func(adminclient.Job) error) error {
			return client.ListJobs(ctx, state, limit, yield)
		})
}

func newJobsTrack(options *adminOptions) *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "track [JOB...]",
		Short: "Track jobs that were submitted by another program",
		Long: `Track jobs that were submitted by another program. Pass their ids as arguments, or one per line in a file.
To track a job twice changes nothing. The receiver needs RECEIVER_DEEPIMAGE_API_KEY.`,
		Example: `  receiver jobs track ce0e7624-634e-11ee-a699-0242ac14000b
  receiver jobs track --file jobs.txt
  my-submitter | receiver jobs track --file -`,
	}
	command.Flags().StringVar(&file, "file", "", "file with one job id per line; - is standard input")
	return newAdminCommand(options, command, func(ctx context.Context, client *adminclient.Client, ids []string) ([]adminclient.Job, error) {
		if file != "" {
			listed, err := readLines(file, command.InOrStdin())
			if err != nil {
				return nil, err
			}
			ids = append(ids, listed...)
		}
		ids, err := checkJobIDs(ids)
		if err != nil {
			return nil, err
		}
		return client.TrackJobs(ctx, ids)
	}, jobColumns().text)
}

// readLines returns the lines of a file without surrounding blanks, and without empty lines.
func readLines(path string, stdin io.Reader) (lines []string, err error) {
	text, err := readInput("--file", path, stdin)
	if err != nil {
		return nil, err
	}
	scanner := bufio.NewScanner(strings.NewReader(string(text)))
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

// checkJobIDs sorts the ids and removes duplicates.
func checkJobIDs(ids []string) ([]string, error) {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return nil, wrongUsage("pass at least one job id, or --file")
	}
	for _, id := range ids {
		if id == "" || len(id) > event.MaxJobBytes || !utf8.ValidString(id) || strings.Contains(id, "\x00") {
			return nil, wrongUsage("the id of a job must be text of 1 to %d bytes", event.MaxJobBytes)
		}
	}
	return ids, nil
}

func jobColumns() columns[adminclient.Job] {
	return columns[adminclient.Job]{header: []string{"REFERENCE", "INPUT", "JOB", "STATE", "CREATED", "EVENT", "WHY"}, row: func(j adminclient.Job) []string {
		return []string{cmp.Or(j.Reference, "-"), cmp.Or(j.Input, "-"), j.Job, string(j.State), j.Created.UTC().Format(time.RFC3339), string(j.Event), j.Detail}
	}}
}
