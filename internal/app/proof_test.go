package app_test

import (
	"flag"
	"maps"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/jobs"
)

// The run is of 2,000 jobs with "make proof"; every day fewer have to do.
var proofJobs = flag.Int("proof-jobs", 120, "jobs of the run with lost, doubled and forged callbacks")

const (
	// callsPerJob is how many look-ups a job may cost, on average, whatever happens to its callback: one that says
	// that it is complete, what a tenth of failing calls adds, and what pauses and polls add.
	callsPerJob = 1.5
	proofSeed   = 5
)

// proof is a run of many jobs with callbacks that get lost, doubled, late, forged and with false addresses, and an
// API that fails a tenth of its calls.
type proof struct {
	jobs       []fakevendor.Job
	deliveries []fakevendor.Delivery
}

func newProof(t testing.TB, v *fakevendor.Vendor, count int) *proof {
	t.Helper()
	p := &proof{}
	for n := range count {
		p.jobs = append(p.jobs, newJob(t, v, fakevendor.JobOptions{Width: 16, Height: 12, Seed: uint64(1 + n%4)}))
	}
	if err := v.Flap(fakevendor.Flapping{Seed: proofSeed, Fail: 0.05, Drop: 0.048, Limit: 0.002}); err != nil {
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

// plan has a fifth of the callbacks lost, a fifth doubled, a twentieth forged.
func (p *proof) plan() fakevendor.Plan {
	return fakevendor.Plan{
		Attempts: 20, Concurrency: 16, Shuffle: proofSeed,
		Chances: fakevendor.Chances{
			Seed: proofSeed, Lose: 0.2, Double: 0.2, Delay: 0.1, MaxDelay: time.Second, Forge: 0.05, Impersonate: 0.05,
		},
	}
}

// Every real job ends done exactly once, no forged one is ever fetched, and the calls of the API stay below a bound.
func TestLostDoubledAndForgedCallbacks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v := vendor(t)
		p := newProof(t, v, *proofJobs)
		c := trusting(t, place, v)
		c.Reconcile.After, c.Reconcile.Horizon = 2*time.Second, time.Hour
		c.DeepImage.Concurrency = 64
		c.Handlers[0].Config.(*download.Config).Concurrency = 64
		r := start(t, c)
		begun := time.Now()
		for ids := p.ids(); len(ids) > 0; ids = ids[min(len(ids), jobs.MaxTracked):] {
			r.track(t, newClient(t), ids[:min(len(ids), jobs.MaxTracked)]...)
		}
		p.deliveries = v.Deliver(t.Context(), r.webhook(), p.plan(), p.jobs...)
		r.allExpected(t)
		r.idle(t)
		calls := v.Calls(fakevendor.CallResult)
		lost, forged := p.check(t, v, r)
		t.Logf("%d jobs, %d callbacks lost, %d forged: %d look-ups in %s", len(p.jobs), lost, forged, calls, time.Since(begun).Round(time.Millisecond))
		if bound := int64(callsPerJob * float64(len(p.jobs)+forged)); calls > bound {
			t.Errorf("%d look-ups, more than %d", calls, bound)
		}
	})
}

// allExpected waits until nobody's callback is waited for.
func (r *receiver) allExpected(t testing.TB) {
	t.Helper()
	r.until(t, func() (bool, any) {
		counts, err := r.Stores().Jobs.Counts(t.Context())
		return err == nil && counts[jobs.Waiting] == 0, counts
	})
}

// idle waits until nothing is to be done, also not for what was found a moment ago and is still in the inbox.
func (r *receiver) idle(t testing.TB) {
	t.Helper()
	r.until(t, func() (bool, any) {
		counts, err := r.Stores().History.Counts(t.Context())
		open := counts[event.Pending] + counts[event.Running] + counts[event.Retrying]
		return err == nil && open == 0 && r.allCarried(t), counts
	})
}

// allCarried says whether what became of every expectation is in the work store.
func (r *receiver) allCarried(t testing.TB) bool {
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

func (r *receiver) until(t testing.TB, done func() (bool, any)) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(5 * patience)
	for {
		so, state := done()
		if so {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("it comes to no end: %v", state)
		}
	}
}

func (p *proof) check(t testing.TB, v *fakevendor.Vendor, r *receiver) (lost, forged int) {
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
				t.Errorf("job %s: event %s is %s: %+v", e.Job, e.ID, e.State, h.Steps)
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
	if !maps.Equal(images, want) {
		t.Errorf("%d jobs have images, %d should, each once", len(images), len(want))
	}
	for _, d := range p.deliveries {
		switch {
		case d.Lost:
			lost++
		case d.Err != nil:
			t.Errorf("the callback of %s was not delivered: %v", d.Job.ID, d.Err)
		case d.Forged:
			forged++
			if n := v.Requests(d.Job.ResultURL); n != 0 {
				t.Errorf("a forged image was fetched %d times", n)
			}
			if want[d.Job.ID] == 0 && !quarantined[d.Job.ID] {
				t.Errorf("the forged job %s is not quarantined", d.Job.ID)
			}
		}
	}
	counts, err := r.Stores().Jobs.Counts(t.Context())
	if err != nil || counts[jobs.Arrived]+counts[jobs.Reconciled] != int64(len(p.jobs)) || counts[jobs.Reconciled] == 0 {
		t.Errorf("expectations %v, error %v", counts, err)
	}
	return lost, forged
}
