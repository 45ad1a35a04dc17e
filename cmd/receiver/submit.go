package main

import (
	"context"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/spf13/cobra"
)

const (
	defaultSubmitWait = time.Hour
	maxSubmitWait     = 30 * 24 * time.Hour
)

// submitOptions are the flags of submit.
type submitOptions struct {
	admin         adminOptions
	requestFile   string
	width, height string
	reference     string
	slotWait      time.Duration
	timeout       time.Duration
	parallel      int
	detach        bool
	asJSON        bool
}

func newSubmit() *cobra.Command {
	var options submitOptions
	command := &cobra.Command{
		Use:   "submit FILE|FOLDER|URL...",
		Short: "Submit images to Deep Image and wait for the results",
		Long: `Submit images to Deep Image through a running receiver, and wait until the results are stored. A folder
stands for all images in it and in its subfolders. A file may have up to 22 MB; submit a URL of a larger one.

--width, --height and --request describe the processing; --request is a file with a request as Deep Image
documents it, without url. Each job gets a webhook URL of its own, and is tracked by the receiver.
Requests are never sent twice: if the outcome of one is unknown, submit reports it and exits with 1.

The receiver needs RECEIVER_DEEPIMAGE_API_KEY and RECEIVER_PUBLIC_URL. The exit code is 0 when all results
are stored, or with --detach when all jobs are submitted.`,
		Example: `  receiver submit photo.jpg --width 200% --height 200%
  receiver submit shoe.jpg --reference SKU-4711
  receiver submit photos/ --request enhance.json
  receiver submit https://example.com/a.jpg https://example.com/b.jpg --width 2000 --json
  receiver submit catalogue/ --detach`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, sources []string) error { return submitImages(command, sources, options) },
	}
	flags := command.Flags()
	options.admin.add(command)
	flags.StringVar(&options.requestFile, "request", "", "file with the JSON request, without url; - is standard input")
	flags.StringVar(&options.width, "width", "", "width of the result in pixels or percent, such as 2000 or 200%")
	flags.StringVar(&options.height, "height", "", "height of the result in pixels or percent")
	flags.StringVar(&options.reference, "reference", "", "your own name of the jobs, such as a SKU; events and files can carry it")
	flags.DurationVar(&options.slotWait, "wait", defaultSubmitWait, "time that an image may wait for a free slot at Deep Image")
	flags.DurationVar(&options.timeout, "timeout", defaultSubmitWait, "time from the submission of an image until its result is stored")
	flags.IntVar(&options.parallel, "parallel", adminclient.MaxParallel, "number of simultaneous submissions")
	flags.BoolVar(&options.detach, "detach", false, "exit without waiting for the results; the receiver stores them")
	addJSON(command, &options.asJSON)
	return command
}

func (o submitOptions) check() error {
	switch {
	case o.parallel < 1 || o.parallel > adminclient.MaxParallel:
		return wrongUsage("--parallel must be from 1 to %d", adminclient.MaxParallel)
	case o.reference != event.CleanName(o.reference):
		return wrongUsage("--reference must be one line of at most %d bytes", event.MaxNameBytes)
	case o.slotWait < 0 || o.slotWait > maxSubmitWait:
		return wrongUsage("--wait must be from 0s to %s", maxSubmitWait)
	case o.timeout < time.Second || o.timeout > maxSubmitWait:
		return wrongUsage("--timeout must be from 1s to %s", maxSubmitWait)
	}
	return nil
}

func submitImages(command *cobra.Command, sources []string, options submitOptions) error {
	if err := options.check(); err != nil {
		return err
	}
	request, err := options.request(command)
	if err != nil {
		return err
	}
	images, err := adminclient.FindImages(command.Context(), sources, request)
	if err != nil {
		return err
	}
	client, err := options.admin.open(command.ErrOrStderr(), false)
	if err != nil {
		return err
	}
	defer client.Close(context.Background()) //nolint:errcheck // without offline mode it only closes connections
	results := submitResults{
		out: command.OutOrStdout(), errors: command.ErrOrStderr(), asJSON: options.asJSON,
		progress: newProgress(command.ErrOrStderr(), len(images), "images"),
	}
	defer results.close()
	submission := adminclient.Submission{
		Client: client, Request: request, Reference: options.reference, SlotWait: options.slotWait, Timeout: options.timeout,
		Parallel: options.parallel, Detach: options.detach, Done: results.add, Waiting: results.waiting,
	}
	submission.Run(command.Context(), images)
	return results.err(len(images), options.detach)
}

// request returns the request to process an image, without the image.
func (o submitOptions) request(command *cobra.Command) (adminclient.Request, error) {
	var text []byte
	if o.requestFile != "" {
		var err error
		if text, err = readJSON("--request", o.requestFile, "", command.InOrStdin()); err != nil {
			return nil, err
		}
	}
	return adminclient.NewRequest(text, o.width, o.height)
}
