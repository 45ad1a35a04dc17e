package main_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// TestRejections is fault A1: whatever was rejected can be listed, shown, accepted and deleted, also in offline mode.
func TestRejections(t *testing.T) { //nolint:tparallel // later subtests see what earlier ones changed
	t.Parallel()
	folder := t.TempDir()
	env := []string{"RECEIVER_ADMIN_ADDR=" + testkit.FreeAddress(t), "RECEIVER_WEBHOOK_TOKENS=" + knownToken, "RECEIVER_DATA_DIR=" + folder}
	r := start(t, folder, env...)
	bodies := map[string]string{} // by id
	command := func(args string) result {
		return run(t, env, append([]string{"rejections"}, strings.Fields(args)...)...)
	}
	var ids []string // oldest first
	for _, body := range []string{"job=1\x1b\xff", `{"job":"second","results":[NaN]}`, "job=3", "job=4"} {
		sent := receiver(t, call{args: []string{"send", "--body", "-"}, env: append([]string{r.listening()}, env...), stdin: body}).expect(t, 1)
		contains(t, "stdout", sent.stdout, "400")
		var found []struct {
			ID   json.Number
			Code string
		}
		text := command("list --limit 1 --json").expect(t, 0).stdout
		if err := json.Unmarshal([]byte(text), &found); err != nil || len(found) != 1 || found[0].Code != "malformed" {
			t.Fatalf("list = %s, error %v, want one malformed", text, err)
		}
		id := found[0].ID.String()
		ids, bodies[id] = append(ids, id), body
	}
	t.Run("show", func(t *testing.T) {
		for id, want := range bodies {
			if got := command("show "+id).expect(t, 0).stdout; got != want {
				t.Errorf("body = %q, want %q", got, want)
			}
		}
	})
	check := func(t *testing.T, args string, code int, status string) {
		t.Helper()
		got := command(args+" --json").expect(t, code)
		var result struct{ Status string }
		if code != 0 {
			return
		}
		if err := json.Unmarshal([]byte(got.stdout), &result); err != nil || result.Status != status {
			t.Errorf("%s: result = %s, error %v, want status %q", args, got.stdout, err, status)
		}
	}
	for _, row := range []struct {
		name, args, status string
		code               int
	}{
		{name: "no job", args: "accept " + ids[0], code: 1},
		{name: "job of the person", args: "accept --job first --result-url https://localhost/a.png " + ids[0], status: "accepted"},
		{name: "accepted before", args: "accept " + ids[0], code: 1},
		{name: "job of the body", args: "accept " + ids[1], status: "accepted"},
		{name: "delete", args: "delete " + ids[2]},
		{name: "deleted before", args: "delete " + ids[2], code: 1},
		{name: "no id", args: "accept", code: 2},
		{name: "no number", args: "delete x", code: 1},
		{name: "limit", args: "list --limit 0", code: 2},
	} {
		t.Run(row.name, func(t *testing.T) { check(t, row.args, row.code, row.status) })
	}
	t.Run("offline", func(t *testing.T) {
		r.stop(t, syscall.SIGTERM).expect(t, 0)
		if got := strings.Count(command("list").expect(t, 0).stdout, "\n"); got != 2 {
			t.Errorf("lines = %d, want the head and 1", got)
		}
		check(t, "accept --job fourth "+ids[3], 0, "accepted")
		r = start(t, folder, env...)
		waiting := &offlineSetup{folder: folder, env: env}
		waiting.ids(t, "dead", 3) // their host is localhost, or they have no result
	})
}
