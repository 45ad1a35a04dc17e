package deepimage_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// TestEveryJobGetsItsStatus looks up many jobs at once, some of them forged, while the API fails a tenth of its calls.
func TestEveryJobGetsItsStatus(t *testing.T) {
	t.Parallel()
	const jobs, workers = 400, 16
	vendor, client := setUp(t, deepimage.Config{UnknownPerMinute: jobs})
	if err := vendor.Flap(fakevendortest.Flapping{Seed: 1, Fail: 0.06, Drop: 0.04}); err != nil {
		t.Fatal(err)
	}
	wanted := make(chan deepimage.JobStatus, jobs)
	for n := range jobs {
		if n%20 == 0 {
			wanted <- deepimage.JobStatus{Job: newJob(t, vendor, fakevendortest.JobOptions{State: fakevendortest.Forged}).ID, State: deepimage.Unknown}
			continue
		}
		job := newJob(t, vendor, fakevendortest.JobOptions{})
		wanted <- deepimage.JobStatus{Job: job.ID, State: deepimage.Complete, ResultURL: job.ResultURL}
	}
	close(wanted)
	var asking sync.WaitGroup
	for range workers {
		asking.Go(func() {
			for want := range wanted {
				got, err := ask(t.Context(), client, want.Job)
				if got.Asked = (time.Time{}); err != nil || got != want {
					t.Errorf("Result(%s) = %+v, %v, want %+v", want.Job, got, err, want)
				}
			}
		})
	}
	asking.Wait()
	calls := vendor.Calls(fakevendortest.CallResult)
	if calls > jobs*5/4 {
		t.Errorf("calls = %d for %d jobs, want at most %d", calls, jobs, jobs*5/4)
	}
}

// ask retries Result until the API answers.
func ask(ctx context.Context, client *deepimage.Client, job string) (deepimage.JobStatus, error) {
	source := deepimage.FromSource(netip.MustParseAddr("192.0.2.1"))
	for {
		got, err := client.Result(ctx, job, source)
		failed, ok := errors.AsType[*deepimage.Error](err)
		if !ok || failed.Kind != deepimage.KindUnavailable {
			return got, err
		}
		timer := time.NewTimer(failed.After)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return got, err
		}
	}
}
