package main_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

// desk is a receiver that runs at times, and the commands that look into its store.
type desk struct {
	folder string
	env    []string
	store  string // as commands name it
}

// newDesk is for a receiver that believes nobody: the jobs of the events that it gets are unknown.
func newDesk(t *testing.T, place *databasetest.Place) *desk {
	t.Helper()
	vendor, err := fakevendor.Start(t.Context(), fakevendor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vendor.Close() })
	d := &desk{folder: t.TempDir(), store: "the store in "}
	d.env = []string{
		"RECEIVER_ADMIN_ADDR=" + freeAddress(t), "RECEIVER_WEBHOOK_TOKENS=" + knownToken, "RECEIVER_DATA_DIR=" + d.folder,
		"RECEIVER_DEEPIMAGE_API_KEY=" + vendor.APIKey(), "RECEIVER_DEEPIMAGE_URL=" + vendor.APIURL(),
	}
	if place.Kind == database.Postgres {
		d.env = append(d.env, "RECEIVER_DATABASE_URL="+place.Config.URL.Reveal())
	}
	return d
}

func (d *desk) events(t *testing.T, args ...string) result {
	t.Helper()
	return run(t, d.env, append([]string{"events"}, args...)...)
}

// offline wants a command to do its work in the store, and to say so.
func (d *desk) offline(t *testing.T, args ...string) string {
	t.Helper()
	got := d.events(t, args...).expect(t, 0)
	contains(t, "stderr", got.stderr, "nobody listens at 127.0.0.1:", d.store, "is opened instead")
	return got.stdout
}

// ids are the events in a state, by their jobs, once there are so many.
func (d *desk) ids(t *testing.T, status string, count int) map[string]string {
	t.Helper()
	deadline := time.Now().Add(crashWait)
	for {
		var events []struct{ ID, Job string }
		got := d.events(t, "list", "--status", status, "--json").expect(t, 0)
		if err := json.Unmarshal([]byte(got.stdout), &events); err != nil || time.Now().After(deadline) {
			t.Fatalf("%v: %s", err, got.stdout)
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

// While no receiver runs, the commands do their work in its store, and what they ask for is done when it is back.
func TestEventsOffline(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		d := newDesk(t, place)
		r := start(t, d.folder, d.env...)
		for _, job := range []string{"first", "second"} {
			run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--job", job).expect(t, 0)
		}
		ids := d.ids(t, "quarantined", 2)
		r.stop(t, syscall.SIGTERM).expect(t, 0)

		contains(t, "list", d.offline(t, "list", "--status", "quarantined"), ids["first"], ids["second"])
		contains(t, "release", d.offline(t, "release", ids["first"]), "1 events released; they go on as soon as a receiver runs")
		contains(t, "release", d.offline(t, "release", "--all"), "1 events released")
		r = start(t, d.folder, d.env...)
		d.ids(t, "dead", 2) // nothing may be fetched from there
		d.lookBeside(t, place)
		r.stop(t, syscall.SIGTERM).expect(t, 0)

		contains(t, "show", d.offline(t, "show", ids["first"]), "job       first", "download  dead  host_not_allowed: ", "attempt 1")
		table, err := csv.NewReader(strings.NewReader(d.offline(t, "export", "--format", "csv"))).ReadAll()
		if err != nil || len(table) != 3 {
			t.Errorf("exported %v, error %v", table, err)
		}
		contains(t, "replay", d.offline(t, "replay", ids["first"]), "1 steps run again as soon as a receiver runs")
		contains(t, "replay", d.offline(t, "replay", "--all", "--job", "second"), "1 events would run again")
		contains(t, "replay", d.offline(t, "replay", "--all", "--job", "second", "--yes"), "1 events run again", "as soon as a receiver runs")
		d.events(t, "replay", "--all", "--yes").expect(t, 1) // another is to be done first
		start(t, d.folder, d.env...)
		for _, id := range ids {
			deadline := time.Now().Add(crashWait)
			for text := ""; !strings.Contains(text, "attempt 2"); text = d.events(t, "show", id).expect(t, 0).stdout {
				if time.Now().After(deadline) {
					t.Fatalf("it did not run again:\n%s", text)
				}
			}
		}
	})
}

// lookBeside looks for a receiver that runs at an address where it is not.
func (d *desk) lookBeside(t *testing.T, place *databasetest.Place) {
	t.Helper()
	got := run(t, append(d.env, "RECEIVER_ADMIN_ADDR="+freeAddress(t)), "events", "list")
	if place.Kind == database.Postgres {
		contains(t, "stderr", got.expect(t, 0).stderr, "in Postgres is opened instead")
		return
	}
	contains(t, "stderr", got.expect(t, 1).stderr, "a receiver is running with the store in "+d.folder, "RECEIVER_ADMIN_ADDR")
}

// Nothing is made where there is no store, and whoever names a listener means that one.
func TestEventsWithoutAStore(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	env := []string{"RECEIVER_ADMIN_ADDR=" + freeAddress(t), "RECEIVER_DATA_DIR=" + folder}
	contains(t, "stderr", run(t, env, "events", "list").expect(t, 1).stderr, "nobody listens at 127.0.0.1:", "there is no receiver's store at "+folder)
	contains(t, "stderr", run(t, env, "events", "list", "--url", "http://"+freeAddress(t)).expect(t, 1).stderr, "no answer from the admin listener")
	if made, err := os.ReadDir(folder); err != nil || len(made) > 0 {
		t.Errorf("it made %v, error %v", made, err)
	}
	env = append(env, "RECEIVER_INBOX_MAX_BATCH=0")
	contains(t, "stderr", run(t, env, "events", "list").expect(t, 2).stderr, "nobody listens at 127.0.0.1:", "RECEIVER_INBOX_MAX_BATCH")
}
