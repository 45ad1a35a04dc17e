package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/spf13/cobra"
)

func newExpect() *cobra.Command {
	var file string
	var asJSON bool
	command := &cobra.Command{
		Use:   "expect [JOB...]",
		Short: "Wait for the callbacks of jobs, and ask Deep Image when they do not come",
		Long: `Register jobs that were submitted to Deep Image. A job whose callback has not come after RECEIVER_RECONCILE_AFTER
is asked about, again and again with growing pauses, and what is found goes the way of a callback. If Deep Image has no
result of it after RECEIVER_RECONCILE_HORIZON it is lost; a callback that comes even later still counts.

Jobs are given as arguments, or one a line in a file; - is standard input. To register a job twice changes nothing. It may
be done beside a running receiver, and needs RECEIVER_DEEPIMAGE_API_KEY.`,
		Example: "  receiver expect ce0e7624-634e-11ee-a699-0242ac14000b\n  receiver expect --file jobs.txt\n  my-submitter | receiver expect --file -",
		RunE: func(command *cobra.Command, jobs []string) error {
			if file != "" {
				listed, err := readJobList(file, command.InOrStdin())
				if err != nil {
					return err
				}
				jobs = append(jobs, listed...)
			}
			return expectJobs(command, jobs, asJSON)
		},
	}
	command.Flags().StringVar(&file, "file", "", "file with one job a line; - is standard input")
	addJSON(command, &asJSON)
	return command
}

// readJobList reads jobs line by line, without empty lines.
func readJobList(path string, stdin io.Reader) (jobs []string, err error) {
	text, err := readInput("--file", path, stdin)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() {
		if job := strings.TrimSpace(lines.Text()); job != "" {
			jobs = append(jobs, job)
		}
	}
	return jobs, lines.Err()
}

func expectJobs(command *cobra.Command, ids []string, asJSON bool) error {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return wrongUsage("name at least one job, or a file with --file")
	}
	for _, job := range ids {
		if job == "" || len(job) > event.MaxJobBytes || !utf8.ValidString(job) || strings.Contains(job, "\x00") {
			return wrongUsage("a job's id is a text of 1 to %d bytes", event.MaxJobBytes)
		}
	}
	return withTargets(command.Context(), func(ctx context.Context, c config.Config, stores *app.WorkStores) error {
		if !c.DeepImage.Enabled() {
			return errors.New("only the Deep Image API knows about jobs; set RECEIVER_DEEPIMAGE_API_KEY")
		}
		for some := range slices.Chunk(ids, jobs.MaxTracked) {
			now := time.Now()
			found, err := stores.Jobs.Track(ctx, some, now.Add(c.Reconcile.After), now.Add(c.Reconcile.Horizon))
			if err != nil {
				return err
			}
			if err := printExpected(command.OutOrStdout(), found, asJSON); err != nil {
				return err
			}
		}
		return nil
	})
}

// expected is one job as it is printed.
type expected struct {
	Job   string     `json:"job"`
	State jobs.State `json:"state"`
	Event event.ID   `json:"event,omitempty"`
}

func printExpected(out io.Writer, found []jobs.Job, asJSON bool) error {
	for _, e := range found {
		if asJSON {
			if err := printJSON(out, expected{e.Job, e.State, e.Event}); err != nil {
				return err
			}
			continue
		}
		if err := printResult(out, strings.TrimSpace(fmt.Sprintf("%s  %s  %s", printable(e.Job), e.State, e.Event))+"\n"); err != nil {
			return err
		}
	}
	return nil
}
