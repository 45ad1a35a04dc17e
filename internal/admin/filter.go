package admin

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/problem"
)

const (
	defaultLimit = 50
	maxLimit     = 200
	maxText      = 256 // bytes of a text in a filter
)

// readFilter reads a filter from the parameters of a request.
func readFilter(values url.Values) (f history.Filter, err error) {
	f = history.Filter{
		State: event.Status(values.Get("status")), Job: values.Get("job"), Prefix: strings.TrimSpace(values.Get("q")),
		Handler: values.Get("handler"), Reason: event.Reason(values.Get("reason")),
	}
	for _, text := range []string{f.Job, f.Prefix, f.Handler} {
		if len(text) > maxText || strings.ContainsRune(text, 0) {
			return f, badRequest("A search text may have at most " + strconv.Itoa(maxText) + " bytes.")
		}
	}
	if f.State != "" && (!f.State.Valid() || f.State == event.Waiting || f.State == event.Skipped) {
		return f, badRequest("The status must be pending, running, retrying, done, dead or quarantined.")
	}
	if f.Reason != "" && !f.Reason.Valid() {
		return f, badRequest("The reason is unknown.")
	}
	if f.From, err = readTime(values.Get("from")); err != nil {
		return f, err
	}
	f.To, err = readTime(values.Get("to"))
	return f, err
}

// filterValues are the parameters from which readFilter reads a filter.
func filterValues(f history.Filter) url.Values {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set("status", string(f.State))
	set("job", f.Job)
	set("q", f.Prefix)
	set("handler", f.Handler)
	set("reason", string(f.Reason))
	for name, at := range map[string]time.Time{"from": f.From, "to": f.To} {
		if !at.IsZero() {
			values.Set(name, at.UTC().Format(time.RFC3339))
		}
	}
	return values
}

// readTime parses a time in RFC 3339, or in UTC from the field of a form.
func readTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, badRequest("A time must be like 2026-01-31T12:00:00Z or 2026-01-31.")
}

// readPage reads the cursor and the limit of a list.
func readPage(values url.Values) (before event.ID, limit int, err error) {
	if limit, err = readLimit(values); err != nil {
		return "", 0, err
	}
	before = event.ID(values.Get("cursor"))
	if before != "" && !isID(string(before)) {
		return "", 0, invalidCursor()
	}
	return before, limit, nil
}

// readLimit reads the limit of a list.
func readLimit(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, badRequest("The limit must be from 1 to " + strconv.Itoa(maxLimit) + ".")
	}
	return limit, nil
}

func invalidCursor() error { return badRequest("The cursor is invalid.") }

// isID reports whether a text can be the id of an event.
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

func unreadableForm() error { return badRequest("The form cannot be read.") }
