package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
)

// jobsPage is the body of the page about jobs whose callbacks are waited for.
type jobsPage struct {
	Jobs      []Expectation
	State     string
	States    []jobState // all, with their counts
	Total     int64
	Next      string // address of the next part; "" at the end
	First     string // address of the first part
	Newer     bool   // this is not the first part
	Asks      bool   // Deep Image can be asked
	Submits   bool   // jobs can be submitted
	Troubling int64  // jobs whose callbacks got lost, so far as is known
}

// jobState is one state in which jobs are.
type jobState struct {
	Name, Words, Tone string
	Jobs              int64
}

// jobStates are all of them, in the order in which they are shown. Tone is the state of an event that looks alike.
func jobStates() []jobState {
	return []jobState{
		{Name: "submitting", Words: "submitting", Tone: "pending"},
		{Name: "waiting", Words: "waiting", Tone: "pending"},
		{Name: "arrived", Words: "arrived", Tone: "done"},
		{Name: "reconciled", Words: "found by asking", Tone: "retrying"},
		{Name: "failed", Words: "failed", Tone: "dead"},
		{Name: "expired", Words: "expired", Tone: "dead"},
		{Name: "lost", Words: "lost", Tone: "dead"},
	}
}

// stateOf describes the state of a job.
func stateOf(name string) jobState {
	for _, state := range jobStates() {
		if state.Name == name {
			return state
		}
	}
	return jobState{Name: name, Words: name, Tone: "pending"}
}

// showJobs answers GET /jobs.
func (a *Admin) showJobs(w http.ResponseWriter, r *http.Request) {
	body := jobsPage{State: r.URL.Query().Get("state"), Newer: r.URL.Query().Get("cursor") != ""}
	body.Asks, body.Submits = a.deps.Jobs.Possible()
	values := url.Values{}
	if body.State != "" {
		values.Set("state", body.State)
	}
	body.First = "/jobs?" + values.Encode()
	found, err := a.expectations(r)
	body.Jobs = found.Expectations
	if found.Cursor != "" {
		values.Set("cursor", found.Cursor)
		body.Next = "/jobs?" + values.Encode()
	}
	for _, state := range jobStates() {
		state.Jobs = found.Counts[state.Name]
		body.States = append(body.States, state)
		body.Total += state.Jobs
	}
	body.Troubling = found.Counts["reconciled"] + found.Counts["lost"]
	a.show(w, r, "jobs", view{Title: "Jobs", Section: "jobs", Live: !body.Newer, Body: body}, err)
}

// expectPage answers POST /jobs/expect: one job a line.
func (a *Admin) expectPage(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		a.show(w, r, "trouble", view{}, badRequest("The form cannot be read."))
		return
	}
	jobs, err := checkJobs(strings.Fields(r.PostForm.Get("jobs")))
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		_, err = a.deps.Expected.Expect(ctx, jobs)
	}
	a.done(w, r, "/jobs", "expecting", len(jobs), storeFailure(err))
}

// submitPage answers POST /jobs/submit: an address, and the size of the result.
func (a *Admin) submitPage(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		a.show(w, r, "trouble", view{}, badRequest("The form cannot be read."))
		return
	}
	request, err := formRequest(r.PostForm)
	if err == nil {
		extend(http.NewResponseController(w), submissionTimeout)
		_, err = a.deps.Jobs.Submit(r.Context(), request, 0)
	}
	a.done(w, r, "/jobs", "submitted", 1, storeFailure(err))
}

// formRequest makes the request to Deep Image of what a person wrote.
func formRequest(form url.Values) ([]byte, error) {
	address, err := url.Parse(strings.TrimSpace(form.Get("url")))
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return nil, badRequest("The address of the image must be a whole URL such as https://example.com/photo.jpg.")
	}
	request := map[string]any{"url": address.String()}
	for _, name := range []string{"width", "height"} {
		text := strings.TrimSpace(form.Get(name))
		if text == "" {
			continue
		}
		if request[name], err = deepimage.Size(text); err != nil {
			return nil, badRequest("The " + name + " is a number of pixels or percent, such as 2000 or 200%.")
		}
	}
	return json.Marshal(request)
}
