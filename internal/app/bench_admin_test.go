package app_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// manyEvents is the number of events in the benchmark of lists. One of a thousand is dead, one of three thousand is retrying.
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
				{"time", "/api/v1/events?from=2026-01-01T01:00:00Z&to=2026-01-01T02:00:00Z"},
				{"handler-reason-time", "/api/v1/events?handler=download&reason=expired&to=2026-01-01T02:00:00Z"},
				{"state-time", "/api/v1/events?status=dead&from=2026-01-01T01:00:00Z&to=2026-01-01T20:00:00Z"},
				{"beginning-time", "/api/v1/events?q=job-&to=2026-01-01T02:00:00Z"},
				{"old-page-of-a-reason", "/api/v1/events?reason=expired&cursor=019b7740-0000-7000-8000-000000000000"},
				{"page-of-the-list", "/events"},
				{"page-of-a-filter", "/events?status=dead&handler=download&reason=expired&to=2026-01-01T20:00:00Z"},
				{"page-of-the-overview", "/"},
				{"stats", "/api/v1/stats"},
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

// fill adds processed events to a new work database, spread over 2026-01-01.
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
	series := "WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < %d)"
	const milliseconds = "(1767225600000 + n * 864 / 10)" // with which an id begins
	id := "substr(printf('%012x', " + milliseconds + "), 1, 8) || '-' || substr(printf('%012x', " + milliseconds + "), 9) || printf('-7000-8000-%012d', n)"
	if place.Kind == database.Postgres {
		series = "WITH series (n) AS (SELECT generate_series(1, %d)::bigint)"
		id = "overlay(lpad(to_hex(" + milliseconds + "), 12, '0') placing '-' from 9 for 0) || '-7000-8000-' || lpad(n::text, 12, '0')"
	}
	series = fmt.Sprintf(series, manyEvents)
	const (
		state  = "CASE WHEN n % 1000 = 7 THEN 'dead' WHEN n % 3000 = 11 THEN 'retrying' ELSE 'done' END"
		reason = "CASE WHEN n % 1000 = 7 THEN 'expired' WHEN n % 3000 = 11 THEN 'timeout' ELSE '' END"
		at     = "1767225600000000 + n * 86400"
	)
	for _, statement := range []string{
		"INSERT INTO events (id, seq, job, received_at, bytes, state) " + series + " SELECT " + id + ", n, 'job-' || n, " + at + ", 300, " + state + " FROM series",
		"INSERT INTO steps (event_id, handler, position, state, attempt, tries, since, next_at, reason, changed_at) " + series +
			" SELECT " + id + ", 'download', 0, " + state + ", 1, 1, " + at + ", CASE WHEN n % 3000 = 11 THEN 4102444800000000 END, " + reason + ", " + at + " FROM series",
		"INSERT INTO artifacts (event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at) " + series +
			" SELECT " + id + ", 'download', 0, '', 'k', 'u', 1, '', 'image/png', 10, 10, " + at + " FROM series WHERE n % 1000 <> 7",
		"ANALYZE",
	} {
		if _, err := stores.Work.Writer.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	if err := stores.Close(); err != nil {
		b.Fatal(err)
	}
}
