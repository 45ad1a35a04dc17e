package admin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// fullQuarantine is a store in which more events are quarantined than a list shows, and than whatever looks for changes counts.
type fullQuarantine struct {
	admin.Events
	admin.Quarantine
	targets
}

func (fullQuarantine) List(context.Context, admin.Filter, event.ID, int) ([]admin.Summary, error) {
	return []admin.Summary{{ID: eventID, Job: "job", Status: event.Quarantined, Received: time.Now()}}, nil
}

func (fullQuarantine) Targets(context.Context) ([]admin.Target, error) { return nil, nil }
func (fullQuarantine) Quarantined(context.Context) (int, error)        { return 12_345, nil }

func (fullQuarantine) mark(context.Context) (admin.Mark, error) {
	return admin.Mark{Counts: map[event.Status]int64{event.Quarantined: 10_000}}, nil
}

// Whoever is about to let all events out is told how many those are.
func TestAllOfTheQuarantineAreCounted(t *testing.T) {
	t.Parallel()
	full := fullQuarantine{}
	shown := page(t, admin.Deps{Events: full, Quarantine: full, Targets: full, Mark: full.mark}, "/events?status=quarantined")
	for _, want := range []string{`data-count="12345"`, "Release 12,345<"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
