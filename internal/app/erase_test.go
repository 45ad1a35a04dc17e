package app_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// An erased job leaves no file and no history, and a repeat of its callback is a duplicate.
func TestEraseJob(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := bounded(t, place, v)
		r := start(t, c)
		job := newJob(t, v, fakevendortest.JobOptions{})
		body := v.Callback(job, r.webhook())
		id := r.acceptsFrom(t, client, "192.0.2.1", nil, body).ID
		r.reaches(t, id, event.Done)
		if n := countFiles(t, c.DataDir, job.ID); n == 0 {
			t.Fatal("no file is stored, want some")
		}
		for _, row := range []struct {
			name, query   string
			status        int
			events, files int
		}{
			{name: "no job", status: http.StatusBadRequest},
			{name: "unknown job", query: "?job=nothing", status: http.StatusNotFound},
			{name: "malformed flag", query: "?images=some&job=" + job.ID, status: http.StatusBadRequest},
			{name: "erase", query: "?images=true&job=" + job.ID, status: http.StatusOK, events: 1, files: 2},
			{name: "again", query: "?images=true&job=" + job.ID, status: http.StatusOK},
		} {
			var got struct{ Events, Files int }
			r.wantPost(t, client, "/api/v1/erasures"+row.query, row.status, &got)
			if got.Events != row.events || got.Files != row.files {
				t.Errorf("%s: %+v, want %d events, %d files", row.name, got, row.events, row.files)
			}
		}
		if n := countFiles(t, c.DataDir, job.ID); n != 0 {
			t.Errorf("files of the job = %d, want 0", n)
		}
		if answer := r.acceptsFrom(t, client, "192.0.2.1", nil, body); answer.ID != id || answer.Status != "duplicate" {
			t.Errorf("repeat = %+v, want a duplicate of %s", answer, id)
		}
	})
}

// countFiles counts the files below a folder with a name in their path.
func countFiles(t *testing.T, folder, name string) (n int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "images", "*", name, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}
