package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/demo"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/dustin/go-humanize"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const (
	demoToken   = "demo-token-not-a-secret"
	demoTimeout = 2 * time.Minute // of the whole demo
	demoStop    = 10 * time.Second
)

// demoOptions are the flags of demo.
type demoOptions struct {
	folder string
	log    bool
	json   bool
}

func newDemo() *cobra.Command {
	var options demoOptions
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show callbacks become stored images, without configuration or network",
		Long: `Start a receiver and a fake Deep Image on loopback. The fake delivers real callbacks for real images, some of
them twice and out of order, and breaks some transfers. At the end a table shows what was stored where.
Environment variables are not read. All files are in one folder that you can delete.`,
		Example: "  receiver demo\n  receiver demo --log --dir ./demo",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runDemo(command.Context(), options, command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	command.Flags().StringVar(&options.folder, "dir", "", "folder for all files (default: a new temporary folder)")
	command.Flags().BoolVar(&options.log, "log", false, "show the receiver's log")
	command.Flags().BoolVar(&options.json, "json", false, "print the table as JSON")
	return command
}

func runDemo(ctx context.Context, options demoOptions, stdout, stderr io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	folder, err := demoFolder(options.folder)
	if err != nil {
		return err
	}
	receiver, err := startDemoReceiver(ctx, folder, options.log, stderr)
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), demoStop)
		defer cancel()
		err = errors.Join(err, receiver.Stop(stop))
	}()
	bar := &progress{}
	defer func() { bar.close() }()
	report, err := demo.Scenario{
		Webhook: fmt.Sprintf("http://%s%s/%s", receiver.Addr(), event.WebhookPath, demoToken),
		History: receiver.Stores().History,
		Started: func(vendorURL string) {
			printTo(stderr, "A receiver listens on %s, a fake Deep Image on %s.\n"+
				"It makes images, sends callbacks, half of them twice, and breaks some transfers on purpose.\n\n",
				receiver.Addr(), strings.TrimPrefix(vendorURL, "http://"))
			bar = newProgress(stderr, 1, "images arrive")
		},
		Progress: func(finished, events int) { bar.setOf(finished, events) },
	}.Run(ctx)
	if err != nil {
		return err
	}
	bar.close()
	report.Folder = filepath.Join(folder, "images")
	if options.json {
		return printJSON(stdout, report)
	}
	return printReport(stdout, report)
}

func demoFolder(wanted string) (string, error) {
	if wanted == "" {
		return os.MkdirTemp("", "receiver-demo-")
	}
	if _, err := os.Stat(config.Config{DataDir: wanted}.InboxFile()); err == nil {
		return "", fmt.Errorf("%s already has the data of a receiver; pass a folder for the demo alone", wanted)
	}
	return wanted, os.MkdirAll(wanted, 0o750)
}

// startDemoReceiver starts the same receiver as serve, with the demo's environment: that of the user is for the
// real receiver.
func startDemoReceiver(ctx context.Context, folder string, log bool, stderr io.Writer) (*app.App, error) {
	if err := setDemoEnvironment(folder); err != nil {
		return nil, err
	}
	c, err := config.Load(builtin.All())
	if err != nil {
		return nil, err
	}
	logger := zerolog.Nop()
	if log {
		if logger, err = telemetry.NewLogger(stderr, c.Log); err != nil {
			return nil, err
		}
	}
	receiver, err := app.New(ctx, c, logger)
	if err != nil {
		return nil, err
	}
	if err := receiver.Start(ctx); err != nil {
		return nil, errors.Join(err, receiver.Stop(ctx))
	}
	return receiver, nil
}

func setDemoEnvironment(folder string) error {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if name == "PORT" || strings.HasPrefix(name, "RECEIVER_") {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	for name, value := range map[string]string{
		"RECEIVER_LISTEN_ADDR":         "127.0.0.1:0",
		"RECEIVER_ADMIN_ADDR":          "127.0.0.1:0",
		"RECEIVER_DATA_DIR":            folder,
		"RECEIVER_WEBHOOK_TOKENS":      demoToken,
		"RECEIVER_FETCH_ALLOWED_HOSTS": "127.0.0.1,deep-image.ai,*.deep-image.ai",
		"RECEIVER_FETCH_ALLOWED_CIDRS": "127.0.0.0/8",
		"RECEIVER_FETCH_ALLOW_HTTP":    "true",
		"RECEIVER_RETRY_MIN_DELAY":     "200ms",
		"RECEIVER_RETRY_MAX_ATTEMPTS":  "4",
		"RECEIVER_MIN_FREE_BYTES":      "16MiB",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

func printReport(w io.Writer, r demo.Report) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "JOB\tIMAGE\tBYTES\tPIXELS\tSHA-256\tTRIES\tWHERE")
	for _, i := range r.Images {
		size := humanize.IBytes(uint64(max(i.Bytes, 0)))
		fmt.Fprintf(table, "%.8s\t%s\t%s\t%d x %d\t%.12s\t%d\t%s\n", i.Job, i.Type, size, i.Width, i.Height, i.SHA256, i.Attempts, i.Key)
	}
	if len(r.Refused) > 0 {
		fmt.Fprintln(table, "\nJOB\tREFUSED\tWHY")
		for _, refusal := range r.Refused {
			fmt.Fprintf(table, "%.8s\t%s\t%s\n", refusal.Job, refusal.Reason, refusal.Detail)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&text, "\n%d callbacks became %d events; %d images are complete and identical to what was sent.\nSee %s\n",
		r.Callbacks, r.Events, len(r.Images), r.Folder)
	return printResult(w, text.String())
}
