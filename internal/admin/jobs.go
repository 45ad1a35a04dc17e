package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// maxTrackBytes bounds a request to track jobs.
const maxTrackBytes = 1 << 20

// trackJobs answers POST jobs/track: {"jobs": ["..."]} from a client of the API, one job a line from a form. It is idempotent.
func (a *Admin) trackJobs(_ http.ResponseWriter, r *http.Request) (result, error) {
	ids, err := readJobs(r)
	if err != nil {
		return result{}, err
	}
	if a.deps.Reconciler == nil {
		return result{}, keyMissing()
	}
	found, err := a.deps.Reconciler.Track(r.Context(), ids)
	body := struct {
		Jobs []jobs.Job `json:"jobs"`
	}{found}
	return result{body: body, page: "/jobs", notice: noticeTracking, count: len(ids)}, err
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
func checkJobs(ids []string) ([]string, error) {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 || len(ids) > jobs.MaxTracked {
		return nil, badRequest("A request must have 1 to " + strconv.Itoa(jobs.MaxTracked) + " jobs.")
	}
	for _, job := range ids {
		if job == "" || len(job) > event.MaxJobBytes || !utf8.ValidString(job) || slices.Contains([]byte(job), 0) {
			return nil, badRequest("The id of a job must have 1 to " + strconv.Itoa(event.MaxJobBytes) + " bytes.")
		}
	}
	return ids, nil
}

// jobList is a page of the list; Cursor asks for the next.
type jobList struct {
	Jobs   []jobs.Job           `json:"jobs"`
	Cursor string               `json:"cursor,omitempty"` // none at the end
	Counts map[jobs.State]int64 `json:"counts"`           // of all jobs, by their state
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
	found.Jobs, err = a.deps.Jobs.List(r.Context(), jobs.State(state), string(before), limit+1)
	if err == nil {
		found.Counts, err = a.deps.Jobs.Counts(r.Context())
	}
	if found.Jobs == nil {
		found.Jobs = []jobs.Job{}
	}
	if len(found.Jobs) > limit {
		found.Jobs, found.Cursor = found.Jobs[:limit], found.Jobs[limit-1].ID
	}
	return found, err
}

// showJob answers GET /api/v1/jobs/{job}.
func (a *Admin) showJob(w http.ResponseWriter, r *http.Request) {
	var found jobs.Job
	job, err := url.PathUnescape(chi.URLParam(r, "job"))
	if err != nil || len(job) > event.MaxJobBytes {
		err = database.ErrNotFound
	} else {
		found, err = a.deps.Jobs.Find(r.Context(), job)
	}
	reply(w, r, http.StatusOK, found, storeFailure(err))
}

// jobsPage is the body of the page with the tracked jobs.
type jobsPage struct {
	Jobs     []jobs.Job
	State    jobs.State
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

// jobState is a state of jobs as the page shows it. Tone is the state of events with the same colour.
type jobState struct {
	Name jobs.State
	Tone event.Status
	Jobs int64
}

// jobStates are all of them, in the order in which they are shown.
func jobStates() []jobState {
	return []jobState{
		{Name: jobs.Submitting, Tone: event.Pending},
		{Name: jobs.Waiting, Tone: event.Pending},
		{Name: jobs.Arrived, Tone: event.Done},
		{Name: jobs.Reconciled, Tone: event.Retrying},
		{Name: jobs.Failed, Tone: event.Dead},
		{Name: jobs.Expired, Tone: event.Dead},
		{Name: jobs.Lost, Tone: event.Dead},
	}
}

// jobStateOf is the state of a job as the page shows it.
func jobStateOf(name jobs.State) jobState {
	for _, state := range jobStates() {
		if state.Name == name {
			return state
		}
	}
	return jobState{Name: name, Tone: event.Pending}
}

// showJobs answers GET /jobs.
func (a *Admin) showJobs(w http.ResponseWriter, r *http.Request) {
	const maxField = 300_000 // of 1000 ids of 256 bytes, and line ends
	body := jobsPage{State: jobs.State(r.URL.Query().Get("state")), Newer: r.URL.Query().Get("cursor") != "", MaxBytes: maxField}
	body.CanAsk = a.deps.Reconciler != nil
	body.CanSend = body.CanAsk && a.deps.Setup.PublicURL != ""
	values := url.Values{}
	if body.State != "" {
		values.Set("state", string(body.State))
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
	body.Missing = found.Counts[jobs.Reconciled] + found.Counts[jobs.Lost]
	a.show(w, r, "jobs", view{Title: "Jobs", Section: "jobs", Live: !body.Newer, Body: body}, storeFailure(err))
}
