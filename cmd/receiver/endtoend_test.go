package main_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/api"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// Every documented shape of a callback goes the whole way through the program as
// users run it, and the same body fifty times at once is one event.
func TestEveryExampleThroughTheBinary(t *testing.T) {
	t.Parallel()
	vendor, err := fakevendor.Start(t.Context(), fakevendor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = vendor.Close() }()
	folder := t.TempDir()
	p := serve(t, folder)
	told := &acknowledged{jobs: map[string]fakevendor.Job{}}
	var repeated []byte
	for n, data := range exampleData(t) {
		format := []fakevendor.Format{fakevendor.PNG, fakevendor.JPEG, fakevendor.WebP}[n%3]
		job, err := vendor.NewJob(fakevendor.JobOptions{Format: format, Seed: uint64(n + 1), Data: data})
		if err != nil {
			t.Fatal(err)
		}
		repeated = vendor.Callback(job, p.webhook())
		told.send(t, vendor, p.webhook(), repeated, job)
	}
	events := len(told.jobs)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() { told.send(t, vendor, p.webhook(), repeated, fakevendor.Job{}) })
	}
	group.Wait()
	if events < 26 || len(told.jobs) != events {
		t.Errorf("%d events, and %d after one was repeated", events, len(told.jobs))
	}
	waitUntilIdle(t, folder, p)
	checkAfterCrashes(t, folder, told.jobs)
}

// send posts a body and keeps the id that is answered, for a job unless it is a repeat.
func (a *acknowledged) send(t *testing.T, vendor *fakevendor.Vendor, webhook string, body []byte, job fakevendor.Job) {
	answer, err := vendor.Send(t.Context(), webhook, body)
	var said struct{ ID, Status string }
	if err != nil || answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &said) != nil {
		t.Errorf("answer %d %q, error %v", answer.Status, answer.Body, err)
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	_, known := a.jobs[said.ID]
	if repeat := job.ID == ""; repeat != known || repeat != (said.Status == "duplicate") {
		t.Errorf("%s is %s, and was known: %t", said.ID, said.Status, known)
	}
	if !known {
		a.jobs[said.ID] = job
	}
}

// exampleData is the data of every example callback.
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
