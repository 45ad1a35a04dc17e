package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/dustin/go-humanize"
)

// templateFuncs are the functions of the templates; thumb reports whether an artifact can have a thumbnail.
func (p *pages) templateFuncs(thumb func(Artifact) bool) template.FuncMap {
	return template.FuncMap{
		"base":     func() string { return p.base },
		"asset":    p.address,
		"ago":      humanize.Time,
		"exact":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"field":    formTime,
		"until":    until,
		"sentence": sentence,
		"bytes":    func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) },
		"ubytes":   humanize.IBytes,
		"number":   humanize.Comma,
		"count":    func(n int) string { return humanize.Comma(int64(n)) },
		"plural":   pluralOf,
		"duration": duration,
		"age":      func(seconds float64) string { return span(time.Duration(seconds * float64(time.Second))) },
		"reason":   func(r event.Reason) string { return strings.ReplaceAll(string(r), "_", " ") },
		"tidy":     tidy,
		"short":    short,
		"named":    func(n event.Names) bool { return n != event.Names{} },
		"title":    func(n event.Names, job string) string { return cmp.Or(n.Reference, n.Input, short(job)) },
		"subtitle": subtitle,
		"image":    isImage,
		"thumb":    thumb,
		"zooms":    func(a Artifact) bool { return isImage(a.MediaType) && thumb(a) },
		"statuses": statuses,
		"reasons":  event.Reasons,
		"job":      jobStateOf,
		"finished": isFinished,
		"attempt":  isShownByAttempt,
		"pixels":   func(a Artifact) string { return megapixels(a.Width, a.Height) },
	}
}

// statuses are the states of events, in the order in which they are shown.
func statuses() []event.Status {
	return []event.Status{event.Pending, event.Running, event.Retrying, event.Done, event.Dead, event.Quarantined}
}

func formTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04")
}

// until is the time of a future event: absolute, because a relative time would change too fast.
func until(t time.Time) string {
	now := time.Now()
	switch {
	case t.Before(now):
		return "now"
	case t.Sub(now) < 12*time.Hour:
		return "at " + t.UTC().Format("15:04:05 UTC")
	default:
		return "on " + t.UTC().Format("2006-01-02 15:04 UTC")
	}
}

// sentence capitalizes an error text and ends it with a full stop.
func sentence(text string) string {
	first, length := utf8.DecodeRuneInString(text)
	if length == 0 {
		return ""
	}
	text = string(unicode.ToUpper(first)) + text[length:]
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "…") {
		text += "."
	}
	return text
}

func plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}

// pluralOf is plural for the number types in templates.
func pluralOf(n any, one, many string) (string, error) {
	switch n := n.(type) {
	case int:
		return plural(n, one, many), nil
	case int64:
		return plural(n, one, many), nil
	default:
		return "", fmt.Errorf("admin: %T is not a count", n)
	}
}

// duration is the time between from and to; "" if to is zero.
func duration(from, to time.Time) string {
	if to.IsZero() {
		return ""
	}
	return span(to.Sub(from))
}

// span formats a duration with its two largest units: 1.2 s, 3 min 5 s, 2 h 10 min.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(large, small time.Duration, names ...string) string {
		text := strconv.Itoa(int(d/large)) + " " + names[0]
		if rest := int(d % large / small); rest > 0 {
			text += " " + strconv.Itoa(rest) + " " + names[1]
		}
		return text
	}
	switch {
	case d < time.Second:
		return strconv.Itoa(int(d.Milliseconds())) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return two(time.Minute, time.Second, "min", "s")
	case d < day:
		return two(time.Hour, time.Minute, "h", "min")
	default:
		return two(day, time.Hour, "d", "h")
	}
}

// tidy indents JSON.
func tidy(text json.RawMessage) string {
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return string(text)
	}
	return out.String()
}

// short is the beginning of a long name; pages have the whole name in the title attribute.
func short(text string) string {
	const limit = 39 // bytes: a UUID and an ellipsis
	return sanitize.Clip(text, limit)
}

// subtitle returns what follows the title of an event or a job, "" if the title is the job.
func subtitle(n event.Names, job string) string {
	switch {
	case n == event.Names{}:
		return ""
	case n.Reference == "" || n.Input == "":
		return short(job)
	default:
		return strings.TrimSuffix(n.Input+" · "+short(job), " · ")
	}
}

func megapixels(width, height int) string {
	const million = 1e6
	pixels := float64(width) * float64(height)
	if pixels < million/10 {
		return humanize.Comma(int64(pixels)) + " pixels"
	}
	return strconv.FormatFloat(pixels/million, 'f', 1, 64) + " MP"
}
