package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// Expectation is a job whose callback is waited for.
type Expectation struct {
	ID      string     `json:"id"`
	Job     string     `json:"job"` // "" while it is not known
	Origin  string     `json:"origin"`
	State   string     `json:"state"`
	Created time.Time  `json:"created_at"`
	Next    *time.Time `json:"next_at,omitempty"` // when Deep Image is asked
	Horizon time.Time  `json:"horizon_at"`        // when it is asked no more
	Polls   int        `json:"polls"`
	Event   event.ID   `json:"event,omitempty"` // that came of it
	Detail  string     `json:"detail,omitempty"`
	Settled *time.Time `json:"settled_at,omitempty"`
}

const (
	// maxExpected is how many jobs one request may register.
	maxExpected = 1000
	// maxExpectBytes bounds such a request.
	maxExpectBytes = 1 << 20
)

// expect answers POST /api/v1/expectations, {"jobs": ["..."]}: it may be asked twice.
func (a *Admin) expect(w http.ResponseWriter, r *http.Request) {
	jobs, err := readJobs(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	found, err := a.deps.Expected.Expect(ctx, jobs)
	reply(w, r, http.StatusOK, struct {
		Expectations []Expectation `json:"expectations"`
	}{found}, storeFailure(err))
}

// readJobs reads the jobs of a request, each once.
func readJobs(r *http.Request) ([]string, error) {
	var asked struct {
		Jobs []string `json:"jobs"`
	}
	err := json.NewDecoder(r.Body).Decode(&asked)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, &problem.Error{Code: problem.CodeTooLarge, Detail: "A request may have at most " + strconv.Itoa(maxExpectBytes) + " bytes."}
	}
	if err != nil {
		return nil, badRequest(`The body must be JSON, {"jobs": ["..."]}.`)
	}
	return checkJobs(asked.Jobs)
}

// checkJobs gives each job once.
func checkJobs(jobs []string) ([]string, error) {
	slices.Sort(jobs)
	jobs = slices.Compact(jobs)
	if len(jobs) == 0 || len(jobs) > maxExpected {
		return nil, badRequest("A request registers 1 to " + strconv.Itoa(maxExpected) + " jobs.")
	}
	for _, job := range jobs {
		if job == "" || len(job) > event.MaxJobBytes || !utf8.ValidString(job) || slices.Contains([]byte(job), 0) {
			return nil, badRequest("A job's id has 1 to " + strconv.Itoa(event.MaxJobBytes) + " bytes.")
		}
	}
	return jobs, nil
}

// expectationList is a part of a list; Cursor asks for the next.
type expectationList struct {
	Expectations []Expectation    `json:"expectations"`
	Cursor       string           `json:"cursor,omitempty"` // none at the end
	Counts       map[string]int64 `json:"counts"`           // of all, by their state
}

// listExpectations answers GET /api/v1/expectations, newest first.
func (a *Admin) listExpectations(w http.ResponseWriter, r *http.Request) {
	found, err := a.expectations(r)
	reply(w, r, http.StatusOK, found, err)
}

// expectations reads the part of the list that a request asks for.
func (a *Admin) expectations(r *http.Request) (found expectationList, err error) {
	before, limit, err := readPage(r.URL.Query())
	if err != nil {
		return found, err
	}
	state := r.URL.Query().Get("state")
	if len(state) > maxText {
		return found, badRequest("There is no such state.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	found.Expectations, err = a.deps.Expected.Expectations(ctx, state, string(before), limit+1)
	if err == nil {
		found.Counts, err = a.deps.Expected.Expected(ctx)
	}
	if len(found.Expectations) > limit {
		found.Expectations, found.Cursor = found.Expectations[:limit], found.Expectations[limit-1].ID
	}
	return found, storeFailure(err)
}
