package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// submitResults prints the outcome of each image, in the order in which they end.
type submitResults struct {
	out      io.Writer
	errors   io.Writer // for people
	asJSON   bool
	progress *progress

	mutex  sync.Mutex
	ended  int
	good   int
	failed error // of a write to out
	noted  bool
}

// submitResult is the outcome of one image as JSON.
type submitResult struct {
	Source    string                 `json:"source"`
	ID        string                 `json:"id,omitempty"` // of the tracked job
	Job       string                 `json:"job,omitempty"`
	State     string                 `json:"state"` // submitted, done or failed
	Event     event.ID               `json:"event,omitempty"`
	Artifacts []adminclient.Artifact `json:"artifacts,omitempty"`
	Error     string                 `json:"error,omitempty"`
}

func newSubmitResult(s adminclient.Submitted) submitResult {
	result := submitResult{Source: s.Source, ID: s.Job.ID, Job: s.Job.Job, State: "submitted", Event: s.Event.ID, Artifacts: s.Event.Artifacts}
	switch {
	case s.Err != nil:
		result.State, result.Error = "failed", strings.TrimSpace(s.Err.Error())
	case s.Event.State == event.Done:
		result.State = "done"
	}
	return result
}

func (r *submitResults) add(s adminclient.Submitted) {
	result := newSubmitResult(s)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.ended++
	if s.Err == nil {
		r.good++
	}
	if r.failed != nil {
		return
	}
	r.progress.clear()
	if r.asJSON {
		r.failed = printJSON(r.out, result)
	} else {
		r.failed = printResult(r.out, result.text())
	}
	r.progress.set(r.ended)
}

// text returns one line, and below it one for each stored file.
func (r submitResult) text() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%-9s  %s", r.State, printable(r.Source))
	if r.Job != "" {
		fmt.Fprintf(&text, "  job %s", printable(r.Job))
	}
	if r.Error != "" {
		fmt.Fprintf(&text, "\n           %s", printable(r.Error))
	}
	for _, a := range r.Artifacts {
		if a.Index >= 0 {
			fmt.Fprintf(&text, "\n           %s", printable(a.URL))
		}
	}
	return text.String() + "\n"
}

// waiting reports once why a submission is delayed.
func (r *submitResults) waiting(cause error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.noted {
		return
	}
	r.noted = true
	r.progress.clear()
	printTo(r.errors, "waiting: %s\n", strings.TrimSpace(cause.Error()))
	r.progress.set(r.ended)
}

// err returns an error if an image failed, or if a result could not be printed.
func (r *submitResults) err(all int, detached bool) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.failed != nil || r.good == all {
		return r.failed
	}
	what := "stored"
	if detached {
		what = "submitted"
	}
	return fmt.Errorf("%d of %d images are not %s", all-r.good, all, what)
}

func (r *submitResults) close() { r.progress.close() }
