package admin_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/go-cmp/cmp"
)

// The page of an event offers to replay its dead steps, all steps, and each step that can be replayed.
func TestEventPageOffersReplays(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`(?s)<form[^>]*action="/events/` + eventID + `/replay">(.*?)</form>`)
	field := regexp.MustCompile(`name="(handler|finished)" value="(\w+)"`)
	rows := []struct {
		event event.Status
		steps []event.Status
		want  []string
	}{
		{event: event.Dead, steps: []event.Status{event.Done, event.Skipped, event.Dead, event.Retrying, event.Waiting}, want: []string{
			"", "finished=true", "handler=done finished=true", "handler=skipped finished=true", "handler=dead",
		}},
		{event: event.Done, steps: []event.Status{event.Done, event.Skipped}, want: []string{
			"finished=true", "handler=done finished=true", "handler=skipped finished=true",
		}},
		{event: event.Dead, steps: []event.Status{event.Dead, event.Waiting}, want: []string{"", "handler=dead"}},
		{event: event.Pending, steps: []event.Status{event.Pending, event.Running}},
		{event: event.Quarantined, steps: []event.Status{event.Quarantined, event.Waiting}},
	}
	for _, row := range rows {
		held := openStores(t)
		held.addEvent(t, row.steps...)
		held.exec(t, "UPDATE events SET state = $1", string(row.event))
		var got []string
		for _, found := range form.FindAllStringSubmatch(page(t, serve(t, "", held.deps()), "/events/"+eventID), -1) {
			var fields []string
			for _, f := range field.FindAllStringSubmatch(found[1], -1) {
				fields = append(fields, f[1]+"="+f[2])
			}
			got = append(got, strings.Join(fields, " "))
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s event with steps %v: forms differ (-want +got):\n%s", row.event, row.steps, diff)
		}
	}
}

// Templates are checked only when they run: every page renders with and without events.
func TestPagesRender(t *testing.T) {
	t.Parallel()
	held := openStores(t)
	handler := serve(t, "", held.deps())
	for _, filled := range []bool{false, true} {
		paths := []string{"/", "/events", "/events?status=dead&q=job&handler=dead", "/events?status=quarantined", "/jobs", "/rejected", "/setup", "/replays"}
		if filled {
			held.addEvent(t, event.Dead, event.Done)
			held.exec(t, "UPDATE events SET state = 'dead'")
			if _, err := held.Jobs.Track(t.Context(), []string{"tracked"}, time.Now(), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, "/events/"+eventID)
		}
		for _, path := range paths {
			if got := page(t, handler, path); !strings.Contains(got, "</html>") {
				t.Errorf("%s with events %t: %d bytes, want a whole page", path, filled, len(got))
			}
		}
	}
}
