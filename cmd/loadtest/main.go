// Command loadtest measures a receiver on this machine: it plays Deep Image at a fixed rate, and compares afterwards what was
// acknowledged with what is stored. All traffic stays on loopback.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/loadtest"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // also when an event is missing, doubled or damaged
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// arguments are those of the command line.
type arguments struct {
	scenario          loadtest.Scenario
	options           loadtest.Options
	postgres          bool
	keep, asJSON, all bool
}

func run(ctx context.Context, line []string, out, errOut io.Writer) int {
	a, err := parse(line, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		fmt.Fprintf(errOut, "loadtest: %s\n", err)
		return exitUsage
	}
	if a.all {
		for _, scenario := range loadtest.Scenarios() {
			fmt.Fprintf(out, "%-8s %s\n", scenario.Name, scenario.Says)
		}
		return exitDone
	}
	report, err := execute(ctx, a, errOut)
	if err == nil {
		err = show(out, &report, a.asJSON)
	}
	if err == nil && !report.Perfect() {
		err = errors.New("the result is not perfect; see the report")
	}
	if err != nil {
		fmt.Fprintf(errOut, "loadtest: %s\n", err)
		return exitFailed
	}
	return exitDone
}

func parse(line []string, errOut io.Writer) (a arguments, err error) {
	flags := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	flags.SetOutput(errOut)
	name := flags.String("scenario", "steady", "name of the scenario")
	flags.BoolVar(&a.all, "list", false, "list the scenarios")
	flags.BoolVar(&a.asJSON, "json", false, "print the report as JSON")
	flags.BoolVar(&a.postgres, "postgres", false, "use a private Postgres server instead of SQLite")
	flags.BoolVar(&a.keep, "keep", false, "keep the folder")
	flags.StringVar(&a.options.Binary, "binary", "bin/receiver", "program of the receiver")
	flags.StringVar(&a.options.Folder, "dir", "", "empty folder for all data (default: a new temporary folder)")
	flags.Uint64Var(&a.options.Seed, "seed", 1, "seed of all that is drawn by lot")
	flags.DurationVar(&a.options.Timeout, "timeout", time.Hour, "limit of the whole test")
	rate := flags.Float64("rate", 0, "callbacks a second (default: of the scenario)")
	duration := flags.Duration("duration", 0, "time of the load (default: of the scenario)")
	body := flags.Int("body", 0, "bytes that each callback echoes of the request (default: of the scenario)")
	history := flags.Int("history", 0, "events that the receiver already has (default: of the scenario)")
	flags.Func("env", "NAME=VALUE for the receiver; may be repeated", func(value string) error {
		a.options.Env = append(a.options.Env, value)
		return nil
	})
	if err := flags.Parse(line); err != nil {
		return a, err
	}
	all := loadtest.Scenarios()
	at := slices.IndexFunc(all, func(s loadtest.Scenario) bool { return s.Name == *name })
	if at < 0 || flags.NArg() > 0 {
		return a, fmt.Errorf("there is no scenario %q; see loadtest -list", strings.Join(append([]string{*name}, flags.Args()...), " "))
	}
	a.scenario = all[at]
	override(&a.scenario.Rate, *rate)
	override(&a.scenario.Duration, *duration)
	override(&a.scenario.Body, *body)
	override(&a.scenario.History, *history)
	return a, nil
}

// override replaces a value of the scenario by that of a flag, if the flag was given.
func override[T comparable](value *T, given T) {
	var zero T
	if given != zero {
		*value = given
	}
}

// execute runs the test in its folder.
func execute(ctx context.Context, a arguments, errOut io.Writer) (report loadtest.Report, err error) {
	if a.options.Folder == "" {
		if a.options.Folder, err = os.MkdirTemp("", "loadtest-"); err != nil {
			return report, err
		}
		if !a.keep {
			defer func() { err = errors.Join(err, os.RemoveAll(a.options.Folder)) }() //nolint:gosec // just created
		}
	}
	if a.options.Folder, err = filepath.Abs(a.options.Folder); err != nil {
		return report, err
	}
	if err := os.MkdirAll(a.options.Folder, 0o750); err != nil {
		return report, err
	}
	if a.postgres {
		server, err := databasetest.StartServer(ctx)
		if err != nil {
			return report, err
		}
		defer func() { _ = server.Close() }()
		a.options.Database = secret.New(server.URL("postgres"))
	}
	begun := time.Now()
	a.options.Progress = func(text string) { fmt.Fprintf(errOut, "%6.1f s  %s\n", time.Since(begun).Seconds(), text) }
	return loadtest.Run(ctx, a.scenario, a.options)
}

func show(out io.Writer, report *loadtest.Report, asJSON bool) error {
	if !asJSON {
		return report.Print(out)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
