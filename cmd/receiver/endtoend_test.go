package main_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// Every documented shape of a callback is processed by the program. The same body 50 times at once is one event.
func TestExamplesEndToEnd(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendortest.Options{})
	folder := t.TempDir()
	p := serve(t, folder)
	acked := &acknowledged{jobs: map[string]fakevendortest.Job{}}
	var repeated []byte
	for n, data := range exampleData(t) {
		format := []fakevendortest.Format{fakevendortest.PNG, fakevendortest.JPEG, fakevendortest.WebP}[n%3]
		job, err := vendor.NewJob(fakevendortest.JobOptions{Format: format, Seed: uint64(n + 1), Data: data})
		if err != nil {
			t.Fatal(err)
		}
		repeated = vendor.Callback(job, p.webhook())
		acked.send(t, vendor, p.webhook(), repeated, job)
	}
	events := len(acked.jobs)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() { acked.send(t, vendor, p.webhook(), repeated, fakevendortest.Job{}) })
	}
	group.Wait()
	if events < 26 || len(acked.jobs) != events {
		t.Errorf("events = %d, after the repeats %d, want at least 26 and no more after the repeats", events, len(acked.jobs))
	}
	waitUntilIdle(t, folder, p)
	checkAfterCrashes(t, folder, acked.jobs)
}

// send posts a body and records the id of the answer. The job is empty for a repeat.
func (a *acknowledged) send(t *testing.T, vendor *fakevendortest.Vendor, webhook string, body []byte, job fakevendortest.Job) {
	answer, err := vendor.Send(t.Context(), webhook, body)
	var accepted struct{ ID, Status string }
	if err != nil || answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &accepted) != nil {
		t.Errorf("answer = %d %q, error %v, want 200", answer.Status, answer.Body, err)
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	_, known := a.jobs[accepted.ID]
	if repeat := job.ID == ""; repeat != known || repeat != (accepted.Status == "duplicate") {
		t.Errorf("status of %s = %s, known before = %t, want a duplicate only for a repeat: %t", accepted.ID, accepted.Status, known, repeat)
	}
	if !known {
		a.jobs[accepted.ID] = job
	}
}

// exampleData returns the member data of every example callback.
func exampleData(t *testing.T) (list []json.RawMessage) {
	t.Helper()
	examples, err := api.Examples()
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(examples, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		body, err := fs.ReadFile(examples, name)
		if err != nil {
			t.Fatal(err)
		}
		var example struct{ Data json.RawMessage }
		if err := json.Unmarshal(body, &example); err != nil {
			t.Fatal(err)
		}
		list = append(list, example.Data)
	}
	return list
}
