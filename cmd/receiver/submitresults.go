package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// submitResults prints what becomes of images, in the order of their ends.
type submitResults struct {
	out      io.Writer
	errors   io.Writer // for people
	asJSON   bool
	progress *progress

	mutex  sync.Mutex
	ended  int
	good   int
	broken error // why nothing can be printed any more
	noted  bool
}

// submitResult is one image as a program reads it.
type submitResult struct {
	Source      string           `json:"source"`
	Expectation string           `json:"expectation,omitempty"`
	Job         string           `json:"job,omitempty"`
	State       string           `json:"state"` // submitted, done or failed
	Event       event.ID         `json:"event,omitempty"`
	Artifacts   []admin.Artifact `json:"artifacts,omitempty"`
	Error       string           `json:"error,omitempty"`
}

func resultOf(done submitted) submitResult {
	result := submitResult{
		Source: done.source, Expectation: done.expected.ID, Job: done.expected.Job, State: "submitted", Event: done.event.ID, Artifacts: done.event.Artifacts,
	}
	switch {
	case done.err != nil:
		result.State, result.Error = "failed", strings.TrimSpace(done.err.Error())
	case done.event.Status == event.Done:
		result.State = "done"
	}
	return result
}

func (r *submitResults) add(done submitted) {
	result := resultOf(done)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.ended++
	if done.err == nil {
		r.good++
	}
	if r.broken != nil {
		return
	}
	r.progress.clear()
	if r.asJSON {
		r.broken = printJSON(r.out, result)
	} else {
		r.broken = printResult(r.out, result.text())
	}
	r.progress.set(r.ended)
}

// text is one line, and one below it for each file.
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
		if a.Position >= 0 {
			fmt.Fprintf(&text, "\n           %s", printable(a.URL))
		}
	}
	return text.String() + "\n"
}

// note tells a person, once, why it takes so long.
func (r *submitResults) note(cause error) {
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

// verdict is nil if every image came to its end well.
func (r *submitResults) verdict(all int, detached bool) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.broken != nil || r.good == all {
		return r.broken
	}
	what := "stored"
	if detached {
		what = "submitted"
	}
	return fmt.Errorf("%d of %d images are not %s", all-r.good, all, what)
}

func (r *submitResults) close() { r.progress.close() }
