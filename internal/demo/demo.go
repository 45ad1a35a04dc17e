// Package demo is the scenario of "receiver demo": a fake Deep Image delivers callbacks to a receiver, and what the
// receiver stored is compared with what was sent.
package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/history"
)

// pollInterval is the time between two counts of finished events.
const pollInterval = 50 * time.Millisecond

// Scenario is one run against a receiver whose store is empty.
type Scenario struct {
	Webhook  string         // URL of the receiver for callbacks, with the token
	History  *history.Store // of the receiver
	Started  func(vendorURL string)
	Progress func(finished, events int)
}

// Run delivers callbacks, waits until every event is finished, and compares the stored images with those that were sent.
func (s Scenario) Run(ctx context.Context) (report Report, err error) {
	vendor, err := fakevendor.Start(ctx, fakevendor.Options{})
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, vendor.Close()) }()
	s.Started(vendor.URL())
	jobs, err := newJobs(vendor)
	if err != nil {
		return Report{}, err
	}
	if report.Callbacks, err = deliver(ctx, vendor, s.Webhook, jobs); err != nil {
		return Report{}, err
	}
	if err := s.await(ctx, len(jobs)); err != nil {
		return Report{}, err
	}
	if err := report.collect(ctx, s.History); err != nil {
		return Report{}, err
	}
	err = report.compare(jobs)
	return report, err
}

// newJobs creates the jobs with their formats, sizes and faults.
func newJobs(vendor *fakevendor.Vendor) ([]fakevendor.Job, error) {
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
		{Format: fakevendor.JPEG, Width: 512, Height: 512, Middleware: fakevendor.First(math.MaxInt64, fakevendor.Status(401, 0))},
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

// deliver delivers the callbacks, half of them twice and all out of order, and returns their number.
func deliver(ctx context.Context, vendor *fakevendor.Vendor, webhook string, jobs []fakevendor.Job) (int, error) {
	plan := fakevendor.Plan{Attempts: 3, Concurrency: 4, Shuffle: 7}
	deliveries := vendor.Deliver(ctx, webhook, plan, append(jobs, jobs[:len(jobs)/2]...)...)
	for _, delivery := range deliveries {
		if delivery.Err != nil {
			return 0, delivery.Err
		}
	}
	return len(deliveries), nil
}

// await waits until that many events are done or dead.
func (s Scenario) await(ctx context.Context, events int) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		counts, err := s.History.Counts(ctx)
		if err != nil {
			return err
		}
		finished := int(counts[event.Done] + counts[event.Dead])
		s.Progress(finished, events)
		if finished >= events {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("demo: %w", ctx.Err())
		}
	}
}
