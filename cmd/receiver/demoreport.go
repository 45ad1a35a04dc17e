package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"text/tabwriter"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/dustin/go-humanize"
)

// demoReport is the result of the demo.
type demoReport struct {
	Callbacks int           `json:"callbacks"` // delivered, repeats included
	Events    int           `json:"events"`    // that resulted
	Images    []demoImage   `json:"images"`
	Refused   []demoRefusal `json:"refused"`
	Folder    string        `json:"folder"`

	jobs []fakevendor.Job
}

// demoImage is one stored image.
type demoImage struct {
	Job      string `json:"job"`
	Type     string `json:"media_type"`
	Bytes    int64  `json:"bytes"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	SHA256   string `json:"sha256"`
	Attempts int    `json:"attempts"`
	Key      string `json:"key"`
}

// demoRefusal is an event whose image was not stored, with the reason.
type demoRefusal struct {
	Job    string       `json:"job"`
	Reason event.Reason `json:"reason"`
	Detail string       `json:"detail"`
}

func (r *demoReport) add(h history.Details) {
	step := h.Steps[0]
	if step.State == event.Dead {
		r.Refused = append(r.Refused, demoRefusal{Job: h.Event.Job, Reason: step.Reason, Detail: step.Detail})
		return
	}
	for _, a := range h.Artifacts {
		if a.Index < 0 {
			continue // the manifest
		}
		r.Images = append(r.Images, demoImage{
			Job: h.Event.Job, Type: a.MediaType, Bytes: a.Bytes, Width: a.Width, Height: a.Height,
			SHA256: a.SHA256, Attempts: len(step.Attempts), Key: a.Key,
		})
	}
}

// compare checks that every image was stored as the vendor made it.
func (r *demoReport) compare() error {
	sort.SliceStable(r.Images, func(a, b int) bool { return r.Images[a].Key < r.Images[b].Key })
	stored := map[string]bool{}
	for _, image := range r.Images {
		stored[image.Job+image.SHA256] = true
	}
	refused := map[string]bool{}
	for _, refusal := range r.Refused {
		refused[refusal.Job] = true
	}
	for _, job := range r.jobs {
		for _, image := range job.Images {
			if !refused[job.ID] && !stored[job.ID+image.SHA256] {
				return fmt.Errorf("an image of job %s differs from the one that was sent, or is missing", job.ID)
			}
		}
	}
	if r.Events != len(r.jobs) {
		return fmt.Errorf("%d jobs resulted in %d events", len(r.jobs), r.Events)
	}
	return nil
}

func (r *demoReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "JOB\tIMAGE\tBYTES\tPIXELS\tSHA-256\tTRIES\tWHERE")
	for _, i := range r.Images {
		size := humanize.IBytes(uint64(max(i.Bytes, 0)))
		fmt.Fprintf(table, "%.8s\t%s\t%s\t%d x %d\t%.12s\t%d\t%s\n", i.Job, i.Type, size, i.Width, i.Height, i.SHA256, i.Attempts, i.Key)
	}
	if len(r.Refused) > 0 {
		fmt.Fprintln(table, "\nJOB\tREFUSED\tWHY")
		for _, refusal := range r.Refused {
			fmt.Fprintf(table, "%.8s\t%s\t%s\n", refusal.Job, refusal.Reason, refusal.Detail)
		}
	}
	err := table.Flush()
	_, closing := fmt.Fprintf(w, "\n%d callbacks became %d events; %d images are complete and identical to what was sent.\nSee %s\n",
		r.Callbacks, r.Events, len(r.Images), r.Folder)
	return errors.Join(err, closing)
}
