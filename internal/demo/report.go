package demo

import (
	"context"
	"fmt"
	"sort"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/history"
)

// Report is the result of the demo.
type Report struct {
	Callbacks int       `json:"callbacks"` // delivered, repeats included
	Events    int       `json:"events"`    // that resulted
	Images    []Image   `json:"images"`
	Refused   []Refusal `json:"refused"`
	Folder    string    `json:"folder"` // of the images; set by the caller
}

// Image is one stored image.
type Image struct {
	Job      string `json:"job"`
	Type     string `json:"media_type"`
	Bytes    int64  `json:"bytes"`
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	SHA256   string `json:"sha256"`
	Attempts int    `json:"attempts"`
	Key      string `json:"key"`
}

// Refusal is an event whose image was not stored, with the reason.
type Refusal struct {
	Job    string       `json:"job"`
	Reason event.Reason `json:"reason"`
	Detail string       `json:"detail"`
}

func (r *Report) add(h history.Details) {
	step := h.Steps[0]
	if step.State == event.Dead {
		r.Refused = append(r.Refused, Refusal{Job: h.Event.Job, Reason: step.Reason, Detail: step.Detail})
		return
	}
	for _, a := range h.Artifacts {
		if a.Index < 0 {
			continue // the manifest
		}
		r.Images = append(r.Images, Image{
			Job: h.Event.Job, Type: a.MediaType, Bytes: a.Bytes, Width: a.Width, Height: a.Height,
			SHA256: a.SHA256, Attempts: len(step.Attempts), Key: a.Key,
		})
	}
}

// compare checks that every image was stored as the vendor made it.
func (r *Report) compare(jobs []fakevendor.Job) error {
	sort.SliceStable(r.Images, func(a, b int) bool { return r.Images[a].Key < r.Images[b].Key })
	stored := map[string]bool{}
	for _, image := range r.Images {
		stored[image.Job+image.SHA256] = true
	}
	refused := map[string]bool{}
	for _, refusal := range r.Refused {
		refused[refusal.Job] = true
	}
	for _, job := range jobs {
		for _, image := range job.Images {
			if !refused[job.ID] && !stored[job.ID+image.SHA256] {
				return fmt.Errorf("an image of job %s differs from the one that was sent, or is missing", job.ID)
			}
		}
	}
	if r.Events != len(jobs) {
		return fmt.Errorf("%d jobs resulted in %d events", len(jobs), r.Events)
	}
	return nil
}

// collect reads the outcome of every event.
func (r *Report) collect(ctx context.Context, store *history.Store) error {
	events, err := store.List(ctx, "", 1000)
	if err != nil {
		return err
	}
	r.Events = len(events)
	for _, e := range events {
		h, err := store.Load(ctx, e.ID)
		if err != nil {
			return err
		}
		r.add(h)
	}
	return nil
}
