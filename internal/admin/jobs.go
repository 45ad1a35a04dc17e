package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// Job is a tracked job.
type Job struct {
	ID      string     `json:"id"`
	Job     string     `json:"job"` // "" while Deep Image has not named it
	Origin  string     `json:"origin"`
	State   string     `json:"state"`
	Created time.Time  `json:"created_at"`
	Next    *time.Time `json:"next_at,omitempty"` // of the next look-up
	Horizon time.Time  `json:"horizon_at"`        // when it is marked lost
	Polls   int        `json:"polls"`
	Event   event.ID   `json:"event,omitempty"`
	Detail  string     `json:"detail,omitempty"`
	Settled *time.Time `json:"settled_at,omitempty"`
}

const (
	// maxTracked is how many jobs one request may register.
	maxTracked = 1000
	// maxTrackBytes bounds such a request.
	maxTrackBytes = 1 << 20
)

// trackJobs answers POST jobs/track: {"jobs": ["..."]} from a client of the API, one job a line from a form. It is idempotent.
func (a *Admin) trackJobs(_ http.ResponseWriter, r *http.Request) (result, error) {
	jobs, err := readJobs(r)
	if err != nil {
		return result{}, err
	}
	found, err := a.deps.Tracked.TrackJobs(r.Context(), jobs)
	body := struct {
		Jobs []Job `json:"jobs"`
	}{found}
	return result{body: body, page: "/jobs", notice: noticeTracking, count: len(jobs)}, err
}

// readJobs reads the ids of jobs from a request, each once.
func readJobs(r *http.Request) ([]string, error) {
	if !isAPI(r) {
		if err := r.ParseForm(); err != nil {
			return nil, unreadableForm()
		}
		return checkJobs(strings.Fields(r.PostForm.Get("jobs")))
	}
	var request struct {
		Jobs []string `json:"jobs"`
	}
	err := json.NewDecoder(r.Body).Decode(&request)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, &problem.Error{Code: problem.CodeTooLarge, Detail: "A request may have at most " + strconv.Itoa(maxTrackBytes) + " bytes."}
	}
	if err != nil {
		return nil, badRequest(`The body must be JSON: {"jobs": ["..."]}.`)
	}
	return checkJobs(request.Jobs)
}

// checkJobs removes duplicates and rejects what cannot be the id of a job.
func checkJobs(jobs []string) ([]string, error) {
	slices.Sort(jobs)
	jobs = slices.Compact(jobs)
	if len(jobs) == 0 || len(jobs) > maxTracked {
		return nil, badRequest("A request must have 1 to " + strconv.Itoa(maxTracked) + " jobs.")
	}
	for _, job := range jobs {
		if job == "" || len(job) > event.MaxJobBytes || !utf8.ValidString(job) || slices.Contains([]byte(job), 0) {
			return nil, badRequest("The id of a job must have 1 to " + strconv.Itoa(event.MaxJobBytes) + " bytes.")
		}
	}
	return jobs, nil
}

// jobList is a page of the list; Cursor asks for the next.
type jobList struct {
	Jobs   []Job            `json:"jobs"`
	Cursor string           `json:"cursor,omitempty"` // none at the end
	Counts map[string]int64 `json:"counts"`           // of all jobs, by their state
}

// listJobs answers GET /api/v1/jobs, newest first.
func (a *Admin) listJobs(w http.ResponseWriter, r *http.Request) {
	found, err := a.jobs(r)
	reply(w, r, http.StatusOK, found, storeFailure(err))
}

// jobs reads the page of the list that a request asks for.
func (a *Admin) jobs(r *http.Request) (found jobList, err error) {
	before, limit, err := readPage(r.URL.Query())
	if err != nil {
		return found, err
	}
	state := r.URL.Query().Get("state")
	if len(state) > maxText {
		return found, badRequest("The state is unknown.")
	}
	found.Jobs, err = a.deps.Tracked.ListJobs(r.Context(), state, string(before), limit+1)
	if err == nil {
		found.Counts, err = a.deps.Tracked.CountJobs(r.Context())
	}
	if len(found.Jobs) > limit {
		found.Jobs, found.Cursor = found.Jobs[:limit], found.Jobs[limit-1].ID
	}
	return found, err
}

// showJob answers GET /api/v1/jobs/{job}.
func (a *Admin) showJob(w http.ResponseWriter, r *http.Request) {
	job, err := url.PathUnescape(chi.URLParam(r, "job"))
	if err != nil || len(job) > event.MaxJobBytes {
		problem.Write(w, r, storeFailure(ErrNotFound))
		return
	}
	found, err := a.deps.Tracked.FindJob(r.Context(), job)
	reply(w, r, http.StatusOK, found, storeFailure(err))
}

// jobsPage is the body of the page with the tracked jobs.
type jobsPage struct {
	Jobs     []Job
	State    string
	States   []jobState // all, with their counts
	Total    int64
	Next     string // address of the next part; "" at the end
	First    string // address of the first part
	Newer    bool   // this is not the first part
	CanAsk   bool   // there is a key of the Deep Image API
	CanSend  bool   // jobs can be submitted
	Missing  int64  // jobs whose callbacks did not come
	MaxBytes int    // of the field with the jobs to track
}

// jobState is a state of jobs as the page shows it. Tone is the state of an event with the same colour.
type jobState struct {
	Name, Label, Tone string
	Jobs              int64
}

// jobStates are all of them, in the order in which they are shown.
func jobStates() []jobState {
	return []jobState{
		{Name: "submitting", Label: "submitting", Tone: "pending"},
		{Name: "waiting", Label: "waiting", Tone: "pending"},
		{Name: "arrived", Label: "arrived", Tone: "done"},
		{Name: "reconciled", Label: "reconciled", Tone: "retrying"},
		{Name: "failed", Label: "failed", Tone: "dead"},
		{Name: "expired", Label: "expired", Tone: "dead"},
		{Name: "lost", Label: "lost", Tone: "dead"},
	}
}

// stateOf is the state of a job as the page shows it.
func stateOf(name string) jobState {
	for _, state := range jobStates() {
		if state.Name == name {
			return state
		}
	}
	return jobState{Name: name, Label: name, Tone: "pending"}
}

// showJobs answers GET /jobs.
func (a *Admin) showJobs(w http.ResponseWriter, r *http.Request) {
	const maxField = 300_000 // of 1000 ids of 256 bytes, and line ends
	body := jobsPage{State: r.URL.Query().Get("state"), Newer: r.URL.Query().Get("cursor") != "", MaxBytes: maxField}
	body.CanAsk, body.CanSend = a.deps.Jobs.Possible()
	values := url.Values{}
	if body.State != "" {
		values.Set("state", body.State)
	}
	body.First = "/jobs?" + values.Encode()
	found, err := a.jobs(r)
	body.Jobs = found.Jobs
	if found.Cursor != "" {
		values.Set("cursor", found.Cursor)
		body.Next = "/jobs?" + values.Encode()
	}
	for _, state := range jobStates() {
		state.Jobs = found.Counts[state.Name]
		body.States = append(body.States, state)
		body.Total += state.Jobs
	}
	body.Missing = found.Counts["reconciled"] + found.Counts["lost"]
	a.show(w, r, "jobs", view{Title: "Jobs", Section: "jobs", Live: !body.Newer, Body: body}, storeFailure(err))
}
