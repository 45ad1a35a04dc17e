package main_test

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	env := []string{"RECEIVER_ADMIN_ADDR=" + r.admin}
	if got := run(t, env, "events", "list").expect(t, 0); !strings.HasPrefix(got.stdout, "ID ") || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("an empty list is %q", got.stdout)
	}
	for _, job := range []string{"first", "=second"} {
		run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--job", job).expect(t, 0)
	}
	type line struct{ ID, Job, Status, Reason string }
	var events []line
	deadline := time.Now().Add(crashWait)
	for len(events) < 2 { // the sample is dead as soon as it was tried
		events = nil
		got := run(t, env, "events", "list", "--status", "dead", "--reason", "host_not_allowed", "--json").expect(t, 0)
		if err := json.Unmarshal([]byte(got.stdout), &events); err != nil || time.Now().After(deadline) {
			t.Fatalf("%v: %s", err, got.stdout)
		}
	}
	id := events[1].ID
	contains(t, "show", run(t, env, "events", "show", id).expect(t, 0).stdout, "job       first", "download  dead  host_not_allowed: ", "attempt 1")
	contains(t, "show --json", run(t, env, "events", "show", id, "--json").expect(t, 0).stdout, `"payload": {`, `"attempts": [`)
	contains(t, "list", run(t, env, "events", "list", "--q", "fir").expect(t, 0).stdout, id+"  first  dead", "download: host_not_allowed")
	table, err := csv.NewReader(strings.NewReader(run(t, env, "events", "export", "--format", "csv").expect(t, 0).stdout)).ReadAll()
	if err != nil || len(table) != 3 || table[1][1] != "'=second" {
		t.Errorf("exported %v, error %v", table, err)
	}
	if lines := strings.Count(run(t, env, "events", "export", "--job", "first").expect(t, 0).stdout, "\n"); lines != 1 {
		t.Errorf("exported %d lines", lines)
	}
	contains(t, "replay", run(t, env, "events", "replay", id).expect(t, 0).stdout, "1 steps run again")
	contains(t, "replay", run(t, env, "events", "replay", "--all", "--job", "=second").expect(t, 0).stdout, "1 events would run again")
	contains(t, "replay", run(t, env, "events", "replay", "--all", "--job", "=second", "--yes").expect(t, 0).stdout, "1 events run again")
	contains(t, "release", run(t, env, "events", "release", "--all").expect(t, 0).stdout, "0 events released")

	for args, code := range map[string]int{
		"list --limit 0": 2, "list --status lost": 2, "show": 2, "show x": 1, "replay": 2, "replay --all x": 2, "export --format xml": 2,
		"list --url http://127.0.0.1:1": 1, "list --url ftp://x": 2, "replay --all --finished": 2, "release": 2, "release x": 1,
	} {
		run(t, env, append([]string{"events"}, strings.Fields(args)...)...).expect(t, code)
	}
}
