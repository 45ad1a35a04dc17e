package app_test

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
)

// A scrape has every metric of the manual, and promtool finds nothing wrong with it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		client := newClient(t)
		r, forwardStep := startMeasured(t, client, place)
		stores, forwards := []string{"inbox", "work"}, `{handler="`+forwardStep+`"}`
		if place.Kind == database.Postgres {
			stores = []string{"postgres"}
		}
		want := []string{
			`receiver_callbacks_total{result="accepted"} 1`, `receiver_callbacks_total{result="duplicate"} 1`, "receiver_accept_duration_seconds_count 2",
			`receiver_http_problems_total{code="malformed",listener="public"} 1`, `receiver_http_problems_total{code="unauthorized",listener="public"} 1`,
			`receiver_http_requests_total{listener="admin",method="POST",route="/api/v1/jobs/track",status="200"} 1`,
			"receiver_circuit_open" + forwards + " 1", `receiver_api_paused{call="lookup"} 0`, "receiver_fetch_throughput_bytes_per_second_count 1",
			`receiver_events{state="retrying"} 1`, `receiver_tracked_jobs{state="waiting"} 1`, "receiver_backlog_bytes 0", "receiver_rejected_total 1",
			"receiver_ready 1", `receiver_readiness_check{check="store"} 1`, `receiver_oldest_event_seconds{state="dead"} 0`,
			`receiver_in_flight_bytes{part="large"} 0`,
		}
		nonzero := []string{
			`receiver_oldest_event_seconds{state="retrying"}`, `receiver_store_last_commit_timestamp_seconds{store="inbox"}`,
			`receiver_store_last_commit_timestamp_seconds{store="work"}`, `receiver_disk_free_inodes{folder="` + r.folder + `"}`,
			"receiver_accept_batch_events_count", "receiver_fetch_bytes_total",
		}
		for _, store := range stores {
			labels := `{store="` + store + `"}`
			nonzero = append(nonzero, "receiver_store_bytes"+labels, "receiver_store_wal_bytes"+labels,
				"receiver_store_last_checkpoint_timestamp_seconds"+labels)
		}
		var text string
		r.until(t, func() (bool, any) {
			text = r.metrics(t, client)
			missing := missingSamples(text, want, nonzero)
			return len(missing) == 0, missing
		})
		for _, name := range documentedMetrics(t) {
			if !strings.Contains(text, "# TYPE "+name+" ") && !appearsLater(name) {
				t.Errorf("the scrape lacks the metric %s, want all of the manual", name)
			}
		}
		checkMetrics(t, text)
	})
}

// startMeasured starts a receiver and has it accept and refuse callbacks, store an image and fail to forward it. It returns the step that
// fails.
func startMeasured(t *testing.T, client *http.Client, place *databasetest.Place) (r *receiver, step string) {
	t.Helper()
	v, target := vendor(t), newForwardTarget(t)
	target.fails.Store(true)
	c := forwarding(t, trusting(t, place, v), target)
	forwarder := c.Handlers[len(c.Handlers)-1]
	own, ok := forwarder.Config.(*forward.Config)
	if !ok {
		t.Fatalf("configuration = %T, want that of forward", forwarder.Config)
	}
	own.CircuitFailures = 1
	r = start(t, c)
	callback := v.Callback(newJob(t, v, fakevendortest.JobOptions{}), r.webhook())
	id := post(t, client, r.webhook(), callback).ID
	post(t, client, r.webhook(), callback)
	r.refuse(t, client, r.webhook(), "no callback", http.StatusBadRequest)
	r.refuse(t, client, r.url("/webhooks/deep-image/wrong"), "{}", http.StatusUnauthorized)
	r.reaches(t, id, event.Retrying)
	r.track(t, client, "0198a0b0-0000-7000-8000-000000000001")
	return r, forwarder.Steps()[0].Name
}

// refuse posts a body that must be refused.
func (r *receiver) refuse(t *testing.T, client *http.Client, url, body string, want int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != want {
		t.Errorf("status = %d, want %d", response.StatusCode, want)
	}
}

// missingSamples returns the samples that a scrape lacks, and those that are 0 and should not be.
func missingSamples(text string, samples, nonzero []string) (missing []string) {
	for _, sample := range samples {
		if !strings.Contains(text, "\n"+sample+"\n") {
			missing = append(missing, sample)
		}
	}
	for _, name := range nonzero {
		if !regexp.MustCompile(`\n` + regexp.QuoteMeta(name) + ` [1-9]`).MatchString(text) {
			missing = append(missing, name)
		}
	}
	return missing
}

// appearsLater reports whether a metric has no series before something goes wrong.
func appearsLater(name string) bool {
	return name == "receiver_http_malformed_requests_total" || name == "receiver_http_connections_closed_total"
}

// documentedMetrics returns the names in the tables of the manual.
func documentedMetrics(t *testing.T) (names []string) {
	t.Helper()
	manual, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("(?m)^\\| `(receiver_\\w+)` \\|").FindAllStringSubmatch(string(manual), -1) {
		names = append(names, match[1])
	}
	if len(names) < 40 {
		t.Errorf("documented metrics = %d, want all", len(names))
	}
	return names
}

// checkMetrics has promtool check a scrape.
func checkMetrics(t *testing.T, text string) {
	t.Helper()
	program := lookProgram(t, "promtool")
	check := exec.CommandContext(t.Context(), program, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if output, err := check.CombinedOutput(); err != nil || len(output) > 0 {
		t.Errorf("promtool check metrics = %v, want no findings:\n%s", err, output)
	}
}
