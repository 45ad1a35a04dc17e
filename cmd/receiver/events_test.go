package main_test

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEvents(t *testing.T) { //nolint:tparallel // later subtests see the replays of earlier ones
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	env := []string{"RECEIVER_ADMIN_ADDR=" + r.admin}
	if got := run(t, env, "events", "list").expect(t, 0); !strings.HasPrefix(got.stdout, "REFERENCE ") || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("empty list = %q, want only the head", got.stdout)
	}
	for _, job := range []string{"first", "=second"} {
		run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--job", job).expect(t, 0)
	}
	var events []struct{ ID, Job, Status, Reason string }
	deadline := time.Now().Add(crashWait)
	for len(events) < 2 { // the sample is dead after its first attempt
		events = nil
		got := run(t, env, "events", "list", "--status", "dead", "--reason", "host_not_allowed", "--json").expect(t, 0)
		if err := json.Unmarshal([]byte(got.stdout), &events); err != nil || time.Now().After(deadline) {
			t.Fatalf("dead events = %+v, error %v, want 2", events, err)
		}
	}
	id := events[1].ID
	t.Run("show", func(t *testing.T) {
		contains(t, "show", run(t, env, "events", "show", id).expect(t, 0).stdout, id, "first", "host_not_allowed")
		const want = "download dead host_not_allowed 1"
		got := readEvent(t, run(t, env, "events", "show", id, "--json").expect(t, 0).stdout)
		if got.ID != id || len(got.Payload) == 0 || got.lastStep(t) != want {
			t.Errorf("event = %+v, want id %s, a payload and last step %s", got, id, want)
		}
	})
	t.Run("A2 body", func(t *testing.T) { // it came as it is
		body := run(t, env, "events", "show", id, "--body").expect(t, 0).stdout
		if original := run(t, env, "events", "show", id, "--original").expect(t, 0).stdout; !json.Valid([]byte(body)) || original != body {
			t.Errorf("body, original = %q, %q, want the same JSON", body, original)
		}
	})
	t.Run("list", func(t *testing.T) {
		contains(t, "list", run(t, env, "events", "list", "--q", "fir").expect(t, 0).stdout, id+"  first  dead", "download: host_not_allowed")
	})
	t.Run("export", func(t *testing.T) {
		table, err := csv.NewReader(strings.NewReader(run(t, env, "events", "export", "--format", "csv").expect(t, 0).stdout)).ReadAll()
		if err != nil || len(table) != 3 || table[1][1] != "'=second" {
			t.Errorf("rows = %v, error %v, want 3 with '=second first", table, err)
		}
		if got := strings.Count(run(t, env, "events", "export", "--job", "first").expect(t, 0).stdout, "\n"); got != 1 {
			t.Errorf("lines of one job = %d, want 1", got)
		}
	})
	for _, row := range []struct {
		name, args, member string
		want               int
	}{
		{name: "replay one", args: "replay " + id, member: "steps", want: 1},
		{name: "count for bulk replay", args: "replay --all --job =second", member: "events", want: 1},
		{name: "bulk replay", args: "replay --all --job =second --yes", member: "events", want: 1},
		{name: "release all", args: "release --all", member: "events", want: 0},
		{name: "D4 count for the purge", args: "purge --quarantined", member: "events", want: 0},
		{name: "D4 purge", args: "purge --quarantined --older-than 24h --yes", member: "events", want: 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := run(t, env, append([]string{"events"}, strings.Fields(row.args+" --json")...)...).expect(t, 0)
			if n := jsonNumber(t, got.stdout, row.member); n != row.want {
				t.Errorf("%s = %d, want %d", row.member, n, row.want)
			}
		})
	}
	t.Run("E14 show by job", func(t *testing.T) {
		if got := readEvent(t, run(t, env, "events", "show", "first", "--json").expect(t, 0).stdout); got.ID != id {
			t.Errorf("event = %s, want %s", got.ID, id)
		}
	})
	for args, want := range map[string]string{
		"replay --all --status done": "status_not_dead", "replay --all --handler NOSUCH": "no_such_handler",
		"replay --all --job none": "no_dead_step", "replay " + id + " --handler NOSUCH": "no_such_handler",
	} {
		t.Run("E14 "+args, func(t *testing.T) {
			var got struct {
				NoMatch string `json:"no_match"`
			}
			text := run(t, env, append([]string{"events"}, strings.Fields(args+" --json")...)...).expect(t, 0).stdout
			if err := json.Unmarshal([]byte(text), &got); err != nil || got.NoMatch != want {
				t.Errorf("no_match = %q, error %v, want %q", got.NoMatch, err, want)
			}
		})
	}
	for args, code := range map[string]int{
		"list --limit 0": 2, "list --status lost": 2, "show": 2, "show x": 1, "replay": 2, "replay --all x": 2, "export --format xml": 2,
		"list --url http://127.0.0.1:1": 1, "list --url ftp://x": 2, "replay --all --finished": 2, "release": 2, "release x": 1, "purge": 2, "purge --quarantined --older-than -1h": 2,
		"erase": 2, "erase --job none": 1,
	} {
		t.Run(args, func(t *testing.T) {
			run(t, env, append([]string{"events"}, strings.Fields(args)...)...).expect(t, code)
		})
	}
	t.Run("erase", func(t *testing.T) {
		got := run(t, env, "events", "erase", "--job", "=second", "--json").expect(t, 0)
		if n := jsonNumber(t, got.stdout, "events"); n != 1 {
			t.Errorf("erased events = %d, want 1", n)
		}
		run(t, env, "events", "show", "=second").expect(t, 1)
	})
}

// A hostile admin server cannot send control characters to the terminal.
func TestEventsOfHostileServer(t *testing.T) {
	t.Parallel()
	const hostile = `a\u001b[2J\u202eb`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/v1/events":
			_, _ = io.WriteString(w, `{"events": [{"id": "`+hostile+`", "job": "`+hostile+`", "handler": "`+hostile+`", "reason": "`+hostile+`"}]}`)
		case strings.HasSuffix(r.URL.Path, "/fails"):
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"detail": "`+hostile+`"}`)
		default:
			_, _ = io.WriteString(w, `{"id": "`+hostile+`", "steps": [{"handler": "`+hostile+`", "status": "`+hostile+`"}],
				"artifacts": [{"media_type": "`+hostile+`", "sha256": "`+hostile+`"}]}`)
		}
	}))
	t.Cleanup(server.Close)
	for args, code := range map[string]int{
		"list": 0, "list --json": 0, "show x": 0, "show x --json": 0, "export": 0, "export --format csv": 0, "show fails": 1,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			got := run(t, nil, append([]string{"events", "--url", server.URL}, strings.Fields(args)...)...).expect(t, code)
			if strings.ContainsAny(got.stdout+got.stderr, "\x1b\u202e") {
				t.Errorf("output = %q, want no control characters", got.stdout+got.stderr)
			}
			if code == 0 {
				contains(t, "stdout", got.stdout, "202e")
			}
		})
	}
}
