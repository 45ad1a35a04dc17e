package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

const (
	// maxParallel is how many submissions one receiver takes at the same time.
	maxParallel = 4
	// maxFollowed is how many jobs are followed at the same time.
	maxFollowed     = 256
	defaultSlotWait = time.Hour
	maxSubmitWait   = 30 * 24 * time.Hour
)

// submitOptions are the flags of submit.
type submitOptions struct {
	office        officeOptions
	requestFile   string
	width, height string
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
		Short: "Have Deep Image process images, and wait until the results are stored",
		Long: `Submit images to Deep Image through a running receiver, and wait until the results are stored. A folder stands for all
images in it and in the folders below. An image file may have up to 22 MB; a larger one needs a URL.

What is to be done is said by --width and --height, and by --request: a file with a request as Deep Image documents it,
without url. Each job gets a webhook address of its own, so that nobody else can call back for it, and the receiver asks
about a job whose callback does not come. A request is sent once: when nobody knows whether Deep Image has taken it, that
is said, and it is not sent again.

The receiver needs RECEIVER_DEEPIMAGE_API_KEY and RECEIVER_PUBLIC_URL. It is reached through its admin listener: the one at
RECEIVER_ADMIN_ADDR on this machine, or --url. Exit code 0 means that all results are stored, with --detach that
all jobs are submitted.`,
		Example: `  receiver submit photo.jpg --width 200% --height 200%
  receiver submit photos/ --request enhance.json
  receiver submit https://example.com/a.jpg https://example.com/b.jpg --width 2000 --json
  receiver submit catalogue/ --detach`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, sources []string) error { return submitImages(command, sources, options) },
	}
	flags := command.Flags()
	flags.StringVar(&options.office.url, "url", "", "address of the admin listener (default: on this machine, by RECEIVER_ADMIN_ADDR)")
	flags.StringVar(&options.requestFile, "request", "", "file with the JSON of the request, without url; - is standard input")
	flags.StringVar(&options.width, "width", "", "width of the result, in pixels or percent, such as 2000 or 200%")
	flags.StringVar(&options.height, "height", "", "height of the result, likewise")
	flags.DurationVar(&options.slotWait, "wait", defaultSlotWait, "time that an image may wait while Deep Image has as many jobs under way as the plan allows")
	flags.DurationVar(&options.timeout, "timeout", defaultSlotWait, "time from the submission of an image until its result is stored")
	flags.IntVar(&options.parallel, "parallel", maxParallel, "images that are submitted at the same time")
	flags.BoolVar(&options.detach, "detach", false, "do not wait for the results; the receiver stores them all the same")
	addJSON(command, &options.asJSON)
	return command
}

func (o submitOptions) check() error {
	switch {
	case o.parallel < 1 || o.parallel > maxParallel:
		return wrongUsage("--parallel must be from 1 to %d", maxParallel)
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
	template, err := options.template(command.InOrStdin())
	if err != nil {
		return err
	}
	images, err := (&finder{template: template}).find(command.Context(), sources)
	if err != nil {
		return err
	}
	office, err := options.office.open()
	if err != nil {
		return err
	}
	run := submitRun{
		office: office, options: options, template: template,
		results: &submitResults{
			out: command.OutOrStdout(), errors: command.ErrOrStderr(), asJSON: options.asJSON,
			progress: newProgress(command.ErrOrStderr(), len(images), "images"),
		},
	}
	return run.all(command.Context(), images)
}

// submitRun submits images and follows them.
type submitRun struct {
	office   *office
	options  submitOptions
	template []byte
	results  *submitResults
}

// all has at most so many submissions at the same time as the options say, and follows jobs until their ends.
func (r *submitRun) all(ctx context.Context, images []image) error {
	defer r.results.close()
	submitting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	slots, followed := make(chan struct{}, r.options.parallel), make(chan struct{}, maxFollowed)
	var under sync.WaitGroup
	for _, image := range images {
		if !take(submitting, slots) || !take(submitting, followed) {
			r.results.add(submitted{source: image.source, err: fmt.Errorf("not submitted: %w", context.Cause(submitting))})
			continue
		}
		under.Go(func() {
			done := r.submit(ctx, submitting, image)
			<-slots
			if hopeless := (&hopelessError{}); errors.As(done.err, &hopeless) {
				stop(errors.New("it would be refused like the one before"))
			}
			if done.err == nil && !r.options.detach {
				r.follow(ctx, &done)
			}
			<-followed
			r.results.add(done)
		})
	}
	under.Wait()
	return r.results.verdict(len(images), r.options.detach)
}

// take waits for a place, or says false because nothing is to begin any more.
func take(ctx context.Context, places chan<- struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
