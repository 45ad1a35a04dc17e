package admin_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/rs/zerolog"
)

// fullQuarantine is a store in which more events are quarantined than a list shows, and than whatever looks for changes counts.
type fullQuarantine struct {
	admin.Events
	admin.Quarantine
	targets
}

func (fullQuarantine) List(context.Context, admin.Filter, event.ID, int) ([]admin.Summary, error) {
	return []admin.Summary{{ID: "019a0000-0000-7000-8000-000000000000", Job: "job", Status: event.Quarantined, Received: time.Now()}}, nil
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
	door, err := admin.New(admin.Config{Addr: "127.0.0.1:0"}, admin.Deps{
		Log: zerolog.Nop(), Counts: admin.NewCounts(nil), Events: full, Quarantine: full, Targets: full, Mark: full.mark,
	})
	if err != nil {
		t.Fatal(err)
	}
	server, err := httpserver.NewAdmin(limits(), "127.0.0.1:0", httpserver.AdminDeps{Log: zerolog.Nop(), Mount: door.Mount, End: door.End})
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(ask(server.Router(), http.MethodGet, "http://127.0.0.1/events?status=quarantined", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"12,345 events go on", "Yes, release 12,345<"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
