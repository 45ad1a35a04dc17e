package app_test

import (
	"flag"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/google/go-cmp/cmp"
)

// "make proof" runs 2,000 jobs; everyday runs have fewer.
var proofJobs = flag.Int("proof-jobs", 120, "jobs of the run with lost, doubled and forged callbacks")

const (
	// callsPerJob bounds the average lookups of a job: one that finds it complete, and retries of failed calls and polls.
	callsPerJob = 1.5
	// callsPerForgery bounds those of a forged callback, whose job may be one that the API does not know yet: two lookups within
	// the time of proofGrace, and retries. With the default of two minutes the two are six, with seven more in a day of
	// quarantine, at one a second for all events; the tests of verification and executor prove that.
	callsPerForgery = 2 * callsPerJob
	proofGrace      = 4 * time.Second
	proofSeed       = 5
)

// proof is a run of many jobs with lost, doubled, late and forged callbacks, and an API that fails a tenth of its calls.
type proof struct {
	jobs       []fakevendortest.Job
	deliveries []fakevendortest.Delivery
}

func newProof(t testing.TB, v *fakevendortest.Vendor, count int) *proof {
	t.Helper()
	p := &proof{}
	for n := range count {
		p.jobs = append(p.jobs, newJob(t, v, fakevendortest.JobOptions{Width: 16, Height: 12, Seed: uint64(1 + n%4)}))
	}
	if err := v.Flap(fakevendortest.Flapping{Seed: proofSeed, Fail: 0.05, Drop: 0.048, Limit: 0.002}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *proof) ids() (ids []string) {
	for _, job := range p.jobs {
		ids = append(ids, job.ID)
	}
	return ids
}

// plan loses a fifth of the callbacks, doubles a fifth and forges a twentieth.
func (p *proof) plan() fakevendortest.Plan {
	return fakevendortest.Plan{
		Attempts: 20, Concurrency: 16, Shuffle: proofSeed,
		Chances: fakevendortest.Chances{
			Seed: proofSeed, Lose: 0.2, Double: 0.2, Delay: 0.1, MaxDelay: time.Second, Forge: 0.05, Impersonate: 0.05,
		},
	}
}

// Every real job is done exactly once, no forged image is fetched, and the calls of the API are bounded.
func TestLostDoubledAndForgedCallbacks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v := vendor(t)
		p := newProof(t, v, *proofJobs)
		c := trusting(t, place, v)
		c.Reconcile.After, c.Reconcile.Horizon = 2*time.Second, time.Hour
		c.DeepImage.Concurrency, c.DeepImage.UnknownGrace = 64, proofGrace
		c.Handlers[0].Config.(*download.Config).Concurrency = 64
		r := start(t, c)
		begun := time.Now()
		for ids := p.ids(); len(ids) > 0; ids = ids[min(len(ids), jobs.MaxTracked):] {
			r.track(t, newClient(t), ids[:min(len(ids), jobs.MaxTracked)]...)
		}
		p.deliveries = v.Deliver(t.Context(), r.webhook(), p.plan(), p.jobs...)
		r.noneWaiting(t)
		r.idle(t)
		calls := v.Calls(fakevendortest.CallResult)
		lost, forged := p.check(t, v, r)
		t.Logf("%d jobs, %d callbacks lost, %d forged: %d lookups in %s", len(p.jobs), lost, forged, calls, time.Since(begun).Round(time.Millisecond))
		if bound := int64(callsPerJob*float64(len(p.jobs)) + callsPerForgery*float64(forged)); calls > bound {
			t.Errorf("%d lookups, want at most %d", calls, bound)
		}
	})
}

// noneWaiting waits until no tracked job is waiting.
func (r *receiver) noneWaiting(t testing.TB) {
	t.Helper()
	r.until(t, func() (bool, any) {
		counts, err := r.Stores().Jobs.Counts(t.Context())
		return err == nil && counts[jobs.Waiting] == 0, counts
	})
}

// idle waits until all events are processed, also those that are still in the inbox.
func (r *receiver) idle(t testing.TB) {
	t.Helper()
	r.until(t, func() (bool, any) {
		counts, err := r.Stores().History.Counts(t.Context())
		open := counts[event.Pending] + counts[event.Running] + counts[event.Retrying]
		return err == nil && open == 0 && r.allProcessed(t), counts
	})
}

// allProcessed reports whether the event of every reconciled job is done.
func (r *receiver) allProcessed(t testing.TB) bool {
	t.Helper()
	before := ""
	for {
		list, err := r.Stores().Jobs.List(t.Context(), jobs.Reconciled, before, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return true
		}
		for _, e := range list {
			before = e.ID
			if h, err := r.Stores().History.Load(t.Context(), e.Event); err != nil || h.Event.State != event.Done {
				return false
			}
		}
	}
}

// until waits until done returns true; its second result is the state for the error.
func (r *receiver) until(t testing.TB, done func() (bool, any)) {
	t.Helper()
	const limit = 5 * testkit.Timeout
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(limit)
	for {
		ok, state := done()
		if ok {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("state = %v after %s, want the end", state, limit)
		}
	}
}

func (p *proof) check(t testing.TB, v *fakevendortest.Vendor, r *receiver) (lost, forged int) {
	t.Helper()
	images := map[string]int{} // by job
	quarantined := map[string]bool{}
	var before event.ID
	for {
		events, err := r.Stores().History.List(t.Context(), before, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			before = e.ID
			h, err := r.Stores().History.Load(t.Context(), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			if e.State == event.Quarantined {
				quarantined[e.Job] = true
			} else if e.State != event.Done {
				t.Errorf("job %s: event %s is %s, want done: %+v", e.Job, e.ID, e.State, h.Steps)
			}
			if len(h.Artifacts) > 0 {
				images[e.Job]++
			}
		}
	}
	want := map[string]int{}
	for _, job := range p.jobs {
		want[job.ID] = 1
	}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Errorf("events with images of each job differ (-want +got):\n%s", diff)
	}
	for _, d := range p.deliveries {
		switch {
		case d.Lost:
			lost++
		case d.Err != nil:
			t.Errorf("callback of %s: error = %v, want none", d.Job.ID, d.Err)
		case d.Forged:
			forged++
			if n := v.Requests(d.Job.ResultURL); n != 0 {
				t.Errorf("forged image fetched %d times, want 0", n)
			}
			if want[d.Job.ID] == 0 && !quarantined[d.Job.ID] {
				t.Errorf("forged job %s is not quarantined, want quarantined", d.Job.ID)
			}
		}
	}
	counts, err := r.Stores().Jobs.Counts(t.Context())
	if err != nil || counts[jobs.Arrived]+counts[jobs.Reconciled] != int64(len(p.jobs)) || counts[jobs.Reconciled] == 0 {
		t.Errorf("tracked jobs = %v, error %v; want %d arrived or reconciled", counts, err, len(p.jobs))
	}
	return lost, forged
}
