package main_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// offlineSetup is a receiver that can be started and stopped, and the commands that use its store.
type offlineSetup struct {
	folder string
	env    []string
}

// newOfflineSetup quarantines every event: its vendor knows no job.
func newOfflineSetup(t *testing.T, place *databasetest.Place) *offlineSetup {
	t.Helper()
	vendor := startVendor(t, fakevendortest.Options{})
	s := &offlineSetup{folder: t.TempDir()}
	s.env = []string{
		"RECEIVER_ADMIN_ADDR=" + testkit.FreeAddress(t), "RECEIVER_WEBHOOK_TOKENS=" + knownToken, "RECEIVER_DATA_DIR=" + s.folder,
		"RECEIVER_DEEPIMAGE_API_KEY=" + vendor.APIKey(), "RECEIVER_DEEPIMAGE_URL=" + vendor.APIURL(), "RECEIVER_DEEPIMAGE_UNKNOWN_GRACE=1s",
	}
	if place.Kind == database.Postgres {
		s.env = append(s.env, "RECEIVER_DATABASE_URL="+place.Config.URL.Reveal())
	}
	return s
}

func (s *offlineSetup) events(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, s.env, append([]string{"events"}, args...)...)
}

// offline runs a command that must succeed in offline mode, which it reports on stderr.
func (s *offlineSetup) offline(t *testing.T, args ...string) string {
	t.Helper()
	got := s.events(t, args...).expect(t, 0)
	if got.stderr == "" {
		t.Errorf("stderr of events %s is empty, want a line about offline mode", strings.Join(args, " "))
	}
	return got.stdout
}

// count runs a command in offline mode and returns a number of its JSON result.
func (s *offlineSetup) count(t *testing.T, member string, args ...string) int {
	t.Helper()
	return jsonNumber(t, s.offline(t, append(args, "--json")...), member)
}

// jsonNumber returns a number of a JSON object.
func jsonNumber(t *testing.T, text, member string) int {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("unmarshal %q: error %v, want none", text, err)
	}
	n, ok := got[member].(float64)
	if !ok {
		t.Errorf("%s in %s is %v, want a number", member, text, got[member])
	}
	return int(n)
}

// ids waits for that many events in a state and returns them by their jobs.
func (s *offlineSetup) ids(t *testing.T, status string, count int) map[string]string {
	t.Helper()
	deadline := time.Now().Add(crashWait)
	for {
		var events []struct{ ID, Job string }
		got := s.events(t, "list", "--status", status, "--json").expect(t, 0)
		if err := json.Unmarshal([]byte(got.stdout), &events); err != nil || time.Now().After(deadline) {
			t.Fatalf("%d events are %s, error %v, want %d", len(events), status, err, count)
		}
		if len(events) == count {
			ids := map[string]string{}
			for _, e := range events {
				ids[e.Job] = e.ID
			}
			return ids
		}
	}
}

// eventDetails is an event as "events show --json" prints it.
type eventDetails struct {
	ID, Job, Status string
	Payload         json.RawMessage
	Steps           []struct {
		Handler, Status, Reason string
		Attempts                []struct{ Number int }
	}
}

func readEvent(t *testing.T, text string) (e eventDetails) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("unmarshal %q: error %v, want none", text, err)
	}
	return e
}

// lastStep returns the state of the last step, its reason and the number of its attempts.
func (e eventDetails) lastStep(t *testing.T) string {
	t.Helper()
	if len(e.Steps) == 0 {
		t.Fatalf("event %s has no steps, want some", e.ID)
	}
	step := e.Steps[len(e.Steps)-1]
	return fmt.Sprintf("%s %s %s %d", step.Handler, step.Status, step.Reason, len(step.Attempts))
}

// In offline mode the commands use the store, and what they start is done when a receiver runs.
func TestEventsOffline(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := newOfflineSetup(t, place)
		r := start(t, s.folder, s.env...)
		for _, job := range []string{"first", "second"} {
			run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--job", job).expect(t, 0)
		}
		ids := s.ids(t, "quarantined", 2)
		r.stop(t, syscall.SIGTERM).expect(t, 0)

		contains(t, "list", s.offline(t, "list", "--status", "quarantined"), ids["first"], ids["second"])
		if got := s.count(t, "events", "release", ids["first"]); got != 1 {
			t.Errorf("released events = %d, want 1", got)
		}
		if got := s.count(t, "events", "release", "--all"); got != 1 {
			t.Errorf("released events = %d, want 1", got)
		}
		r = start(t, s.folder, s.env...)
		s.ids(t, "dead", 2) // the host is not allowed
		s.wrongAddress(t, place)
		r.stop(t, syscall.SIGTERM).expect(t, 0)

		const dead = "download dead host_not_allowed 1"
		if got := readEvent(t, s.offline(t, "show", ids["first"], "--json")); got.Job != "first" || got.lastStep(t) != dead {
			t.Errorf("event = %+v, want job first and last step %s", got, dead)
		}
		table, err := csv.NewReader(strings.NewReader(s.offline(t, "export", "--format", "csv"))).ReadAll()
		if err != nil || len(table) != 3 {
			t.Errorf("exported rows = %v, error %v, want 3 rows", table, err)
		}
		if got := s.count(t, "steps", "replay", ids["first"]); got != 1 {
			t.Errorf("replayed steps = %d, want 1", got)
		}
		for _, args := range [][]string{{"replay", "--all", "--job", "second"}, {"replay", "--all", "--job", "second", "--yes"}} {
			if got := s.count(t, "events", args...); got != 1 {
				t.Errorf("events of %v = %d, want 1", args, got)
			}
		}
		s.events(t, "replay", "--all", "--yes").expect(t, 1) // the first bulk replay has not run yet
		start(t, s.folder, s.env...)
		for job, id := range ids {
			const replayed = "download dead host_not_allowed 2"
			deadline := time.Now().Add(crashWait)
			for got := ""; got != replayed; got = readEvent(t, s.events(t, "show", id, "--json").expect(t, 0).stdout).lastStep(t) {
				if time.Now().After(deadline) {
					t.Fatalf("last step of %s = %s, want %s", job, got, replayed)
				}
			}
		}
	})
}

// wrongAddress looks for a running receiver at an address where it does not listen.
func (s *offlineSetup) wrongAddress(t *testing.T, place *databasetest.Place) {
	t.Helper()
	got := run(t, append(s.env, "RECEIVER_ADMIN_ADDR="+testkit.FreeAddress(t)), "events", "list")
	if place.Kind == database.Postgres {
		got.expect(t, 0)
		return
	}
	contains(t, "stderr", got.expect(t, 1).stderr, s.folder, "RECEIVER_ADMIN_ADDR") // the store is in use
}

// Without a store nothing is created. With --url there is no offline mode.
func TestEventsWithoutStore(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	env := []string{"RECEIVER_ADMIN_ADDR=" + testkit.FreeAddress(t), "RECEIVER_DATA_DIR=" + folder}
	contains(t, "stderr", run(t, env, "events", "list").expect(t, 1).stderr, folder)
	run(t, env, "events", "list", "--url", "http://"+testkit.FreeAddress(t)).expect(t, 1)
	if created, err := os.ReadDir(folder); err != nil || len(created) > 0 {
		t.Errorf("files in the data folder = %v, error %v, want none", created, err)
	}
	env = append(env, "RECEIVER_INBOX_MAX_BATCH=0")
	contains(t, "stderr", run(t, env, "events", "list").expect(t, 2).stderr, "RECEIVER_INBOX_MAX_BATCH")
}
