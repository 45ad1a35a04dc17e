package adminclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/jobs"
)

const (
	pageSize     = 200  // items of one request for a list
	maxTrackJobs = 1000 // jobs of one request to track
	maxJobEvents = 20   // events of one job that an error lists
)

// Resources of the admin API.
type (
	// EventSummary is an event in a list.
	EventSummary = history.ListItem
	// Event is an event with its steps and artifacts.
	Event = admin.Event
	// Attempt is one attempt of a step.
	Attempt = history.Attempt
	// Artifact is a stored file.
	Artifact = admin.Artifact
	// Job is a tracked job.
	Job = jobs.Job
	// Target is a step that can be disabled.
	Target = admin.Target
	// Rejection is a rejected callback.
	Rejection = admin.Rejection
)

// ListEvents calls yield with at most limit events, newest first, until it returns an error.
func (c *Client) ListEvents(ctx context.Context, filter url.Values, limit int, yield func(EventSummary) error) error {
	return list(ctx, filter, limit, yield, func(query url.Values) ([]EventSummary, string, error) {
		var page struct {
			Events []EventSummary
			Cursor string
		}
		err := c.get(ctx, "/events", query, &page)
		return page.Events, page.Cursor, err
	})
}

// ListJobs calls yield with at most limit tracked jobs, newest first. An empty state stands for all states.
func (c *Client) ListJobs(ctx context.Context, state string, limit int, yield func(Job) error) error {
	filter := url.Values{}
	if state != "" {
		filter.Set("state", state)
	}
	return list(ctx, filter, limit, yield, func(query url.Values) ([]Job, string, error) {
		var page struct {
			Jobs   []Job
			Cursor string
		}
		err := c.get(ctx, "/jobs", query, &page)
		return page.Jobs, page.Cursor, err
	})
}

// list reads page after page until there are limit items, or no more.
func list[T any](ctx context.Context, filter url.Values, limit int, yield func(T) error, read func(url.Values) ([]T, string, error)) error {
	for limit > 0 && ctx.Err() == nil {
		filter.Set("limit", strconv.Itoa(min(limit, pageSize)))
		items, cursor, err := read(filter)
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := yield(item); err != nil {
				return err
			}
		}
		if cursor == "" {
			return nil
		}
		limit -= len(items)
		filter.Set("cursor", cursor)
	}
	return ctx.Err()
}

// Event returns one event, also as the JSON that the API sent.
func (c *Client) Event(ctx context.Context, id string) (e Event, raw json.RawMessage, err error) {
	if err := c.get(ctx, "/events/"+url.PathEscape(id), nil, &raw); err != nil {
		return e, nil, err
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, nil, fmt.Errorf("the response of %s is not that of a receiver's admin API: %w", c.base.Host, err)
	}
	return e, raw, nil
}

// FindEvent is Event, but also accepts the id of a job that has exactly one event.
func (c *Client) FindEvent(ctx context.Context, idOrJob string) (e Event, raw json.RawMessage, err error) {
	e, raw, err = c.Event(ctx, idOrJob)
	if failed, ok := errors.AsType[*StatusError](err); !ok || failed.Status != http.StatusNotFound {
		return e, raw, err
	}
	var ids []string
	listing := c.ListEvents(ctx, url.Values{"job": {idOrJob}}, maxJobEvents, func(s EventSummary) error {
		ids = append(ids, string(s.ID))
		return nil
	})
	switch {
	case listing != nil || len(ids) == 0:
		return e, nil, err
	case len(ids) > 1:
		return e, nil, badInput("the job has several events; pass the id of one:\n  %s", strings.Join(ids, "\n  "))
	}
	return c.Event(ctx, ids[0])
}

// NoMatch says why there is nothing to replay.
type NoMatch string

// Every reason.
const (
	NoSuchHandler NoMatch = "no_such_handler" // the filter names a handler that neither the configuration nor the store has
	StatusNotDead NoMatch = "status_not_dead" // only dead steps are replayed, and the filter excludes them
	NoDeadStep    NoMatch = "no_dead_step"    // no dead step matches
)

// Replayed is the result of a replay of one event.
type Replayed struct {
	ID      string  `json:"id"`
	Steps   int     `json:"steps"`
	NoMatch NoMatch `json:"no_match,omitempty"` // if Steps is 0
}

// Replay runs the dead steps of an event again: those of one handler, or all if it is empty. With finished, also
// those that are done or skipped.
func (c *Client) Replay(ctx context.Context, id, handler string, finished bool) (result Replayed, err error) {
	query := url.Values{}
	if handler != "" {
		query.Set("handler", handler)
	}
	if finished {
		query.Set("finished", "true")
	}
	err = c.post(ctx, "/events/"+url.PathEscape(id)+"/replay", query, nil, &result)
	if err == nil && result.Steps == 0 {
		result.NoMatch, err = c.noMatch(ctx, query)
	}
	return result, err
}

// BulkReplay is the result of a bulk replay.
type BulkReplay struct {
	Events  int     `json:"events"`
	More    bool    `json:"more"` // Events is only a lower bound
	DryRun  bool    `json:"dry_run"`
	NoMatch NoMatch `json:"no_match,omitempty"` // if Events is 0
}

// ReplayAll starts a bulk replay of the events that match the filter; with dryRun it only counts them.
func (c *Client) ReplayAll(ctx context.Context, filter url.Values, dryRun bool) (result BulkReplay, err error) {
	if dryRun {
		filter.Set("dry_run", "true")
	}
	err = c.post(ctx, "/replays", filter, nil, &result)
	if err == nil && result.Events == 0 {
		result.NoMatch, err = c.noMatch(ctx, filter)
	}
	return result, err
}

// noMatch returns the reason why a filter matches nothing that can be replayed.
func (c *Client) noMatch(ctx context.Context, filter url.Values) (NoMatch, error) {
	if handler := filter.Get("handler"); handler != "" {
		if known, err := c.hasHandler(ctx, handler); err != nil || !known {
			return NoSuchHandler, err
		}
	}
	if status := filter.Get("status"); status != "" && status != string(event.Dead) {
		return StatusNotDead, nil
	}
	return NoDeadStep, nil
}

// hasHandler reports whether a handler is configured, or an event has a step of it.
func (c *Client) hasHandler(ctx context.Context, name string) (known bool, err error) {
	targets, err := c.Targets(ctx)
	if err != nil || slices.ContainsFunc(targets, func(t Target) bool { return t.Name == name }) {
		return true, err
	}
	err = c.ListEvents(ctx, url.Values{"handler": {name}}, 1, func(EventSummary) error {
		known = true
		return nil
	})
	return known, err
}

// Released is the result of releasing or verifying quarantined events.
type Released struct {
	ID     string `json:"id,omitempty"` // empty for all events
	Events int    `json:"events"`
	Action string `json:"action"`
}

// Release releases a quarantined event, or all if id is empty. With verify, Deep Image is asked again instead.
func (c *Client) Release(ctx context.Context, id string, verify bool) (result Released, err error) {
	action, path := "release", "/quarantine/"
	if verify {
		action = "verify"
	}
	if id != "" {
		path = "/events/" + url.PathEscape(id) + "/"
		result.Events = 1 // the API does not count a single event
	}
	err = c.post(ctx, path+action, nil, nil, &result)
	return result, err
}

// Purged is the result of purging the quarantine.
type Purged struct {
	Events int    `json:"events"`
	Action string `json:"action"`
	DryRun bool   `json:"dry_run"`
}

// Purge removes the bodies of the quarantined events that are older; with dryRun it only counts them.
func (c *Client) Purge(ctx context.Context, olderThan time.Duration, dryRun bool) (result Purged, err error) {
	query := url.Values{"older_than": {olderThan.String()}, "dry_run": {strconv.FormatBool(dryRun)}}
	err = c.post(ctx, "/quarantine/purge", query, nil, &result)
	return result, err
}

// Erased is what was erased of a job.
type Erased struct {
	Job        string `json:"job"`
	Events     int    `json:"events"`
	Rejections int    `json:"rejections"`
	Files      int    `json:"files"`
	Pending    int    `json:"files_pending"`
	Finished   bool   `json:"finished"`
}

// Erase removes all that is stored about a job, with images its stored files too.
func (c *Client) Erase(ctx context.Context, job string, images bool) (result Erased, err error) {
	err = c.post(ctx, "/erasures", url.Values{"job": {job}, "images": {strconv.FormatBool(images)}}, nil, &result)
	return result, err
}

// Targets returns the configured steps in their order, then those that only the store knows.
func (c *Client) Targets(ctx context.Context) ([]Target, error) {
	var result struct{ Targets []Target }
	err := c.get(ctx, "/targets", nil, &result)
	return result.Targets, err
}

// TargetState is the result of enabling or disabling a target.
type TargetState struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// SetTarget enables or disables a target.
func (c *Client) SetTarget(ctx context.Context, name string, enabled bool) (result TargetState, err error) {
	action := "/disable"
	if enabled {
		action = "/enable"
	}
	err = c.post(ctx, "/targets/"+url.PathEscape(name)+action, nil, nil, &result)
	return result, err
}

// TargetSteps is the result of giving up or keeping the steps of a target.
type TargetSteps struct {
	Name  string `json:"name"`
	Steps int    `json:"steps"`
}

// DropTarget skips the deferred steps of a target, and all of one that is not configured. by names the operator.
func (c *Client) DropTarget(ctx context.Context, name, by string) (result TargetSteps, err error) {
	err = c.post(ctx, "/targets/"+url.PathEscape(name)+"/drop", url.Values{"by": {by}}, nil, &result)
	return result, err
}

// KeepTarget keeps the steps of a target that is not configured.
func (c *Client) KeepTarget(ctx context.Context, name, by string) (result TargetSteps, err error) {
	err = c.post(ctx, "/targets/"+url.PathEscape(name)+"/keep", url.Values{"by": {by}}, nil, &result)
	return result, err
}

// TrackJobs registers jobs whose callbacks are expected, and returns their states. It is idempotent.
func (c *Client) TrackJobs(ctx context.Context, jobs []string) ([]Job, error) {
	var tracked []Job
	for chunk := range slices.Chunk(jobs, maxTrackJobs) {
		var result struct{ Jobs []Job }
		if err := c.post(ctx, "/jobs/track", nil, map[string][]string{"jobs": chunk}, &result); err != nil {
			return tracked, err
		}
		tracked = append(tracked, result.Jobs...)
	}
	return tracked, nil
}

// ListRejections calls yield with at most limit rejected callbacks, newest first.
func (c *Client) ListRejections(ctx context.Context, limit int, yield func(Rejection) error) error {
	return list(ctx, url.Values{}, limit, yield, func(query url.Values) ([]Rejection, string, error) {
		var page struct {
			Rejections []Rejection
			Cursor     string
		}
		err := c.get(ctx, "/rejections", query, &page)
		return page.Rejections, page.Cursor, err
	})
}

// EventBody returns the body of an event byte for byte.
func (c *Client) EventBody(ctx context.Context, id event.ID) (body []byte, err error) {
	err = c.get(ctx, "/events/"+url.PathEscape(string(id))+"/body", nil, &body)
	return body, err
}

// EventOriginal returns the body of an event as it came: that of the request, before it was decompressed or taken out of a form.
func (c *Client) EventOriginal(ctx context.Context, id event.ID) (body []byte, err error) {
	err = c.get(ctx, "/events/"+url.PathEscape(string(id))+"/original", nil, &body)
	if failed, ok := errors.AsType[*StatusError](err); ok && failed.Status == http.StatusNotFound {
		return c.EventBody(ctx, id)
	}
	return body, err
}

// RejectionBody returns the body of a rejected callback byte for byte.
func (c *Client) RejectionBody(ctx context.Context, id string) (body []byte, err error) {
	err = c.get(ctx, rejectionPath(id, "body"), nil, &body)
	return body, err
}

// AcceptedRejection is the result of accepting a rejected callback.
type AcceptedRejection struct {
	ID     int64    `json:"id"`
	Event  event.ID `json:"event"`
	Status string   `json:"status"` // accepted or duplicate
}

// AcceptRejection stores a rejected callback as an event. job and resultURL replace what is in its body, unless they are empty.
func (c *Client) AcceptRejection(ctx context.Context, id, job, resultURL string) (result AcceptedRejection, err error) {
	err = c.post(ctx, rejectionPath(id, "accept"), nil, map[string]string{"job": job, "result_url": resultURL}, &result)
	return result, err
}

// DeletedRejection is the result of deleting a rejected callback.
type DeletedRejection struct {
	ID int64 `json:"id"`
}

// DeleteRejection deletes a rejected callback.
func (c *Client) DeleteRejection(ctx context.Context, id string) (result DeletedRejection, err error) {
	err = c.post(ctx, rejectionPath(id, "delete"), nil, nil, &result)
	return result, err
}

func rejectionPath(id, part string) string { return "/rejections/" + url.PathEscape(id) + "/" + part }
