package admin_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
)

const eventID = "019a0000-0000-7000-8000-000000000000"

// page is what a door answers to whoever opens a page.
func page(t *testing.T, behind admin.Deps, path string) string {
	t.Helper()
	if behind.Quarantine == nil {
		behind.Quarantine, behind.Targets = noQuarantine{}, noTargets{}
	}
	answer := ask(doorTo(t, admin.Config{Addr: "127.0.0.1:0"}, behind), http.MethodGet, path, nil)
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("answered %d %s, error %v", answer.StatusCode, content, err)
	}
	return string(content)
}

// oneEvent is a store with one event, whose steps are named by their states.
type oneEvent struct {
	admin.Events
	status event.Status
	steps  []event.Status
}

func (o oneEvent) Load(context.Context, event.ID) (admin.Event, error) {
	found := admin.Event{ID: eventID, Job: "job", Status: o.status}
	for _, state := range o.steps {
		found.Steps = append(found.Steps, admin.Step{Handler: string(state), Status: state})
	}
	return found, nil
}

func (oneEvent) Body(context.Context, event.ID) ([]byte, error) { return []byte("{}"), nil }

// The page of an event offers what the API can do: its dead steps again, all again, and each by itself.
func TestEventPageOffersReplays(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`(?s)<form[^>]*action="/events/` + eventID + `/replay">(.*?)</form>`)
	field := regexp.MustCompile(`name="(handler|finished)" value="(\w+)"`)
	rows := []struct {
		status event.Status
		steps  []event.Status
		want   []string
	}{
		{event.Dead, []event.Status{event.Done, event.Skipped, event.Dead, event.Retrying, event.Waiting}, []string{
			"", "finished=true", "handler=done finished=true", "handler=skipped finished=true", "handler=dead",
		}},
		{event.Done, []event.Status{event.Done, event.Skipped}, []string{"finished=true", "handler=done finished=true", "handler=skipped finished=true"}},
		{event.Dead, []event.Status{event.Dead, event.Waiting}, []string{"", "handler=dead"}},
		{event.Pending, []event.Status{event.Pending, event.Running}, nil},
		{event.Quarantined, []event.Status{event.Quarantined, event.Waiting}, nil},
	}
	for _, row := range rows {
		var got []string
		events := oneEvent{status: row.status, steps: row.steps}
		for _, found := range form.FindAllStringSubmatch(page(t, admin.Deps{Events: events, Redact: event.Redact}, "/events/"+eventID), -1) {
			var fields []string
			for _, f := range field.FindAllStringSubmatch(found[1], -1) {
				fields = append(fields, f[1]+"="+f[2])
			}
			got = append(got, strings.Join(fields, " "))
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s, steps %v: it offers %q, want %q", row.status, row.steps, got, row.want)
		}
	}
}
