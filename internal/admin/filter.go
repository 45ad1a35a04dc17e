package admin

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

// Filter says which events are wanted; what is empty does not matter.
type Filter struct {
	Status  event.Status // of the event, together with Handler of that step
	Job     string       // exactly
	Query   string       // how the id or the job begins
	Handler string       // of a step of the event
	Reason  event.Reason // why a step failed, or fails, together with Handler that one
	From    time.Time    // received at or after
	To      time.Time    // received before
}

// IsZero says that everything is wanted.
func (f Filter) IsZero() bool { return f == Filter{} }

const (
	defaultLimit = 50
	maxLimit     = 200
	maxText      = 256 // bytes of a text in a filter
)

// readFilter reads a filter from the parameters of a request.
func readFilter(values url.Values) (f Filter, err error) {
	f = Filter{
		Status: event.Status(values.Get("status")), Job: values.Get("job"), Query: strings.TrimSpace(values.Get("q")),
		Handler: values.Get("handler"), Reason: event.Reason(values.Get("reason")),
	}
	for _, text := range []string{f.Job, f.Query, f.Handler} {
		if len(text) > maxText || strings.ContainsRune(text, 0) {
			return f, badRequest("A text to look for may have at most " + strconv.Itoa(maxText) + " bytes.")
		}
	}
	if f.Status != "" && (!f.Status.Valid() || f.Status == event.Waiting || f.Status == event.Skipped) {
		return f, badRequest("The status must be pending, running, retrying, done, dead or quarantined.")
	}
	if f.Reason != "" && !f.Reason.Valid() {
		return f, badRequest("There is no such reason.")
	}
	if f.From, err = readTime(values.Get("from")); err != nil {
		return f, err
	}
	f.To, err = readTime(values.Get("to"))
	return f, err
}

// values writes the filter as the parameters it is read from.
func (f Filter) values() url.Values {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set("status", string(f.Status))
	set("job", f.Job)
	set("q", f.Query)
	set("handler", f.Handler)
	set("reason", string(f.Reason))
	for name, moment := range map[string]time.Time{"from": f.From, "to": f.To} {
		if !moment.IsZero() {
			values.Set(name, moment.UTC().Format(time.RFC3339))
		}
	}
	return values
}

// readTime reads a time as RFC 3339 has it, or as the field of a form gives it, which is UTC here.
func readTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if moment, err := time.Parse(layout, text); err == nil {
			return moment.UTC(), nil
		}
	}
	return time.Time{}, badRequest("A time must be written as 2026-01-31T12:00:00Z, or as a date alone.")
}

// readPage reads which part of a list is wanted.
func readPage(values url.Values) (before event.ID, limit int, err error) {
	limit = defaultLimit
	if text := values.Get("limit"); text != "" {
		limit, err = strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxLimit {
			return "", 0, badRequest("The limit must be a number from 1 to " + strconv.Itoa(maxLimit) + ".")
		}
	}
	before = event.ID(values.Get("cursor"))
	if before != "" && !isID(string(before)) {
		return "", 0, badRequest("The cursor is not one that a list gave.")
	}
	return before, limit, nil
}

// isID says whether a text can be the id of an event.
func isID(text string) bool {
	const length = 36
	if len(text) != length {
		return false
	}
	for _, r := range text {
		if !strings.ContainsRune("0123456789abcdef-", r) {
			return false
		}
	}
	return true
}

func badRequest(detail string) error {
	return &problem.Error{Code: problem.CodeBadRequest, Detail: detail}
}
