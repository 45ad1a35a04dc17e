package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const (
	demoToken   = "demo-token-not-a-secret"
	demoTimeout = 2 * time.Minute // of the whole demo
	demoStop    = 10 * time.Second
	demoPoll    = 50 * time.Millisecond // between two counts of finished events
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
	vendor, err := fakevendor.Start(ctx, fakevendor.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vendor.Close()) }()
	receiver, err := startDemoReceiver(ctx, folder, options.log, stderr)
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), demoStop)
		defer cancel()
		err = errors.Join(err, receiver.Stop(stop))
	}()
	report, err := runScenario(ctx, vendor, receiver, stderr)
	if err != nil {
		return err
	}
	report.Folder = filepath.Join(folder, "images")
	return report.print(stdout, options.json)
}

// runScenario delivers callbacks and waits until every event is finished.
func runScenario(ctx context.Context, vendor *fakevendor.Vendor, receiver *app.App, stderr io.Writer) (*demoReport, error) {
	_, err := fmt.Fprintf(stderr, "A receiver listens on %s, a fake Deep Image on %s.\n"+
		"It makes images, sends callbacks, half of them twice, and breaks some transfers on purpose.\n\n",
		receiver.Addr(), strings.TrimPrefix(vendor.URL(), "http://"))
	if err != nil {
		return nil, err
	}
	jobs, err := demoJobs(vendor)
	if err != nil {
		return nil, err
	}
	report := &demoReport{jobs: jobs}
	webhook := fmt.Sprintf("http://%s%s/%s", receiver.Addr(), event.WebhookPath, demoToken)
	if report.Callbacks, err = deliverDemo(ctx, vendor, webhook, jobs); err != nil {
		return nil, err
	}
	if err := awaitDemo(ctx, receiver.Stores().History, len(jobs), stderr); err != nil {
		return nil, err
	}
	err = report.collect(ctx, receiver.Stores().History)
	return report, err
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

// demoJobs creates the jobs of the demo with their formats, sizes and faults.
func demoJobs(vendor *fakevendor.Vendor) ([]fakevendor.Job, error) {
	var jobs []fakevendor.Job
	for n, options := range []fakevendor.JobOptions{
		{Format: fakevendor.PNG, Width: 1000, Height: 1000},
		{Format: fakevendor.JPEG, Width: 1920, Height: 1080},
		{Format: fakevendor.WebP, Width: 800, Height: 600},
		{Format: fakevendor.PNG, Width: 2400, Height: 1600, Middleware: fakevendor.First(2, fakevendor.Break(60))},
		{Format: fakevendor.JPEG, Width: 640, Height: 480, Images: 3, Shape: fakevendor.ResultObjects},
		{Format: fakevendor.JPEG, Width: 1600, Height: 1200, Middleware: fakevendor.First(1, fakevendor.Status(503, time.Second))},
		{Format: fakevendor.WebP, Width: 1024, Height: 768, Middleware: fakevendor.First(1, fakevendor.Replace("", ""))},
		{Format: fakevendor.PNG, Bytes: 64 << 20},
		{Format: fakevendor.PNG, Width: 512, Height: 512, Middleware: fakevendor.First(math.MaxInt64, fakevendor.Page())},
		{Format: fakevendor.JPEG, Width: 512, Height: 512, Middleware: fakevendor.First(math.MaxInt64, fakevendor.Status(404, 0))},
	} {
		options.Seed = uint64(n + 1)
		job, err := vendor.NewJob(options)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// deliverDemo delivers the callbacks, half of them twice and all out of order, and returns their number.
func deliverDemo(ctx context.Context, vendor *fakevendor.Vendor, webhook string, jobs []fakevendor.Job) (int, error) {
	plan := fakevendor.Plan{Attempts: 3, Concurrency: 4, Shuffle: 7}
	deliveries := vendor.Deliver(ctx, webhook, plan, append(jobs, jobs[:len(jobs)/2]...)...)
	for _, delivery := range deliveries {
		if delivery.Err != nil {
			return 0, delivery.Err
		}
	}
	return len(deliveries), nil
}

// awaitDemo waits until that many events are done or dead.
func awaitDemo(ctx context.Context, store *history.Store, events int, stderr io.Writer) error {
	bar := newProgress(stderr, events, "images arrive")
	defer bar.close()
	ticker := time.NewTicker(demoPoll)
	defer ticker.Stop()
	for {
		counts, err := store.Counts(ctx)
		if err != nil {
			return err
		}
		finished := int(counts[event.Done] + counts[event.Dead])
		bar.set(finished)
		if finished >= events {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the demo did not finish: %w", ctx.Err())
		}
	}
}

// collect reads the outcome of every event.
func (r *demoReport) collect(ctx context.Context, store *history.Store) error {
	events, err := store.List(ctx, "", 1000)
	if err != nil {
		return err
	}
	r.Events = len(events)
	for _, e := range events {
		h, err := store.Load(ctx, e.ID)
		if err != nil {
			return err
		}
		r.add(h)
	}
	return r.compare()
}
