package fakevendortest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// fates returns the outcomes of deliveries, one character for each.
func fates(deliveries []fakevendortest.Delivery) string {
	var text strings.Builder
	for _, d := range deliveries {
		switch {
		case d.Lost:
			text.WriteString("l")
		case d.Forged:
			text.WriteString("f")
		case d.Copy > 0:
			text.WriteString("d")
		case d.Late > 0:
			text.WriteString("w")
		default:
			text.WriteString(".")
		}
	}
	return text.String()
}

func TestChancesAreReproducible(t *testing.T) {
	t.Parallel()
	const jobs = 300
	deliver := func(chances fakevendortest.Chances) []fakevendortest.Delivery {
		vendor := start(t)
		webhook, _ := callbacks(t)
		made := make([]fakevendortest.Job, jobs)
		for n := range made {
			made[n] = newJob(t, vendor, fakevendortest.JobOptions{Seed: 1, Width: 8, Height: 8})
		}
		return vendor.Deliver(t.Context(), webhook, fakevendortest.Plan{Concurrency: 8, Chances: chances}, made...)
	}
	chances := fakevendortest.Chances{Seed: 5, Lose: 0.2, Double: 0.2, Forge: 0.05, Delay: 0.1, MaxDelay: 20 * time.Millisecond}
	deliveries := deliver(chances)
	for _, d := range deliveries {
		if d.Err != nil || d.Lost != (d.Attempts == 0) || d.Late > chances.MaxDelay {
			t.Errorf("delivery = %+v, want attempts only if not lost, and a delay of at most %s", d, chances.MaxDelay)
		}
	}
	first := fates(deliveries)
	if second := fates(deliver(chances)); first != second {
		t.Errorf("outcomes = %s, want %s", second, first)
	}
	for fate, want := range map[string]float64{"l": 0.2, "d": 0.16, "f": 0.05, "w": 0.08} {
		if share := float64(strings.Count(first, fate)) / jobs; share < want/2 || share > want*2 {
			t.Errorf("%v of the jobs are %s, want about %v", share, fate, want)
		}
	}
	chances.Seed++
	if fates(deliver(chances)) == first {
		t.Errorf("outcomes of another seed = %s, want others", first)
	}
}

func TestForgeriesLookReal(t *testing.T) {
	t.Parallel()
	vendor := start(t)
	webhook, bodies := callbacks(t)
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	plan := fakevendortest.Plan{Chances: fakevendortest.Chances{Forge: 1, Impersonate: 1}}
	deliveries := vendor.Deliver(t.Context(), webhook, plan, job)
	if fates(deliveries) != ".ff" || len(bodies) != 3 {
		t.Fatalf("outcomes = %s, callbacks = %d, want .ff and 3", fates(deliveries), len(bodies))
	}
	forged, impersonated := deliveries[1].Job, deliveries[2].Job
	if got := mustCall(t, vendor, http.MethodGet, "/result/"+forged.ID, ""); got.body != `{"message":"Job not found"}` {
		t.Errorf("response = %+v, want that the job is unknown", got)
	}
	if got := mustCall(t, vendor, http.MethodDelete, "/result/"+forged.ID, ""); got.body != `{"message":"Job not found"}` {
		t.Errorf("response = %+v, want that the job is unknown", got)
	}
	if impersonated.ID != job.ID || impersonated.ResultURL == job.ResultURL {
		t.Errorf("forged job = %+v, want the id %s and another address", impersonated, job.ID)
	}
	if got := mustCall(t, vendor, http.MethodGet, "/result/"+job.ID, ""); !strings.Contains(got.body, job.ResultURL) {
		t.Errorf("response = %+v, want the address %s", got, job.ResultURL)
	}
	for _, forger := range []fakevendortest.Job{forged, impersonated} {
		response, body, err := ask(t, forger.ResultURL, nil)
		if err != nil || response.StatusCode != http.StatusOK || digest(body) != forger.Images[0].SHA256 || vendor.Requests(forger.ResultURL) != 1 {
			t.Errorf("response = %v, error %v, requests = %d, want 200, the image and 1", response, err, vendor.Requests(forger.ResultURL))
		}
	}
	if vendor.Requests(job.ResultURL) != 0 {
		t.Errorf("requests for the real image = %d, want 0", vendor.Requests(job.ResultURL))
	}
}
