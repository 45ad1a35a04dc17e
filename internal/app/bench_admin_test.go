package app_test

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"github.com/deepimage-receiver/receiver/internal/loadtest"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// manyEvents is the number of events in the benchmark of lists.
const manyEvents = 1_000_000

// BenchmarkAdmin measures the admin API of a receiver with a million events. It reports the median and the maximum of the
// response times in milliseconds, with the first one after the start.
func BenchmarkAdmin(b *testing.B) {
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		b.Run("store="+kind.String(), func(b *testing.B) {
			place := databasetest.NewPlace(b, kind)
			c := configuration(b, place)
			filling := *place
			filling.Config.StatementTimeout = 10 * time.Minute
			fill(b, &filling)
			r := start(b, c)
			client := newClient(b)
			const middle = "019b796d-d600-7000-8000-000000500000"
			for _, row := range []struct{ name, path string }{
				{"first-page", "/api/v1/events"},
				{"page-in-the-middle", "/api/v1/events?cursor=" + middle},
				{"state=done", "/api/v1/events?status=done"},
				{"state=dead", "/api/v1/events?status=dead"},
				{"state=pending", "/api/v1/events?status=pending"},
				{"handler", "/api/v1/events?handler=download"},
				{"handler-and-state", "/api/v1/events?handler=download&status=retrying"},
				{"handler-and-done", "/api/v1/events?handler=download&status=done"},
				{"handler-and-dead", "/api/v1/events?handler=download&status=dead"},
				{"handler-and-running", "/api/v1/events?handler=download&status=running"},
				{"handler-of-nothing", "/api/v1/events?handler=unknown"},
				{"reason", "/api/v1/events?reason=expired"},
				{"reason-that-is-rare", "/api/v1/events?reason=auth"},
				{"job", "/api/v1/events?job=job-500000"},
				{"beginning-of-a-job", "/api/v1/events?q=job-99999"},
				{"beginning-of-all-jobs", "/api/v1/events?q=job-"},
				{"beginning-of-some-jobs", "/api/v1/events?q=job-500"},
				{"beginning-of-jobs-most-of-them-old", "/api/v1/events?q=job-1"},
				{"beginning-of-jobs-and-state", "/api/v1/events?q=job-1&status=dead"},
				{"beginning-of-jobs-and-handler", "/api/v1/events?q=job-1&handler=download"},
				{"beginning-of-ids", "/api/v1/events?q=019b7"},
				{"beginning-of-ids-and-state", "/api/v1/events?q=019b7&status=retrying"},
				{"nothing-begins-so", "/api/v1/events?q=zzz"},
				{"reference", "/api/v1/events?q=SKU-500000"},
				{"beginning-of-a-reference", "/api/v1/events?q=SKU-50"},
				{"beginning-of-all-references", "/api/v1/events?q=SKU"},
				{"word-of-inputs", "/api/v1/events?q=red"},
				{"words-of-inputs", "/api/v1/events?q=red+shoe"},
				{"word-of-inputs-all-of-them-old", "/api/v1/events?q=old"},
				{"word-of-inputs-and-state", "/api/v1/events?q=red&status=dead"},
				{"word-of-inputs-and-handler", "/api/v1/events?q=red&handler=download"},
				{"word-of-inputs-and-reason", "/api/v1/events?q=red&reason=expired"},
				{"word-of-inputs-and-time", "/api/v1/events?q=red&to=2026-01-01T02:00:00Z"},
				{"page-of-a-word", "/events?q=red"},
				{"time", "/api/v1/events?from=2026-01-01T01:00:00Z&to=2026-01-01T02:00:00Z"},
				{"handler-reason-time", "/api/v1/events?handler=download&reason=expired&to=2026-01-01T02:00:00Z"},
				{"state-time", "/api/v1/events?status=dead&from=2026-01-01T01:00:00Z&to=2026-01-01T20:00:00Z"},
				{"beginning-time", "/api/v1/events?q=job-&to=2026-01-01T02:00:00Z"},
				{"old-page-of-a-reason", "/api/v1/events?reason=expired&cursor=019b7740-0000-7000-8000-000000000000"},
				{"page-of-the-list", "/events"},
				{"page-of-a-filter", "/events?status=dead&handler=download&reason=expired&to=2026-01-01T20:00:00Z"},
				{"page-of-the-overview", "/"},
				{"stats", "/api/v1/stats"},
				{"metrics", "/metrics"},
			} {
				b.Run("ask="+row.name, func(b *testing.B) { measure(b, client, "http://"+r.AdminAddr().String()+row.path) })
			}
		})
	}
}

func measure(b *testing.B, client *http.Client, address string) {
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		response, err := client.Get(address)
		if err != nil {
			b.Fatal(err)
		}
		content, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			b.Fatalf("status = %d, error %v, want 200: %s", response.StatusCode, err, content)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "worst-ms")
}

// fill adds processed events to a new work database.
func fill(b testing.TB, place *databasetest.Place) {
	b.Helper()
	stores := place.Open(b)
	for _, migrate := range []func() error{
		func() error { _, err := schema.Migrate(b.Context(), stores.Work); return err },
		func() error { _, err := queue.Migrate(b.Context(), stores.Work); return err },
	} {
		if err := migrate(); err != nil {
			b.Fatal(err)
		}
	}
	if err := loadtest.FillHistory(b.Context(), nil, stores.Work, manyEvents); err != nil {
		b.Fatal(err)
	}
	if err := stores.Close(); err != nil {
		b.Fatal(err)
	}
}
