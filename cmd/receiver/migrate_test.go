package main_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
)

func TestMigrateSaysTheVersions(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for range 2 { // the second one finds nothing to do
		got := receiver(t, call{args: []string{"migrate"}, folder: folder}).expect(t, 0)
		if !regexp.MustCompile(`^inbox   schema version \d+\nwork    schema version \d+\nqueue   schema version \d+\n$`).MatchString(got.stdout) {
			t.Errorf("got %q", got.stdout)
		}
	}
	var said []struct {
		Store   string
		Version int
	}
	got := receiver(t, call{args: []string{"migrate", "--json"}, folder: folder}).expect(t, 0)
	if err := json.Unmarshal([]byte(got.stdout), &said); err != nil {
		t.Fatal(err)
	}
	if len(said) != 3 || said[0].Store != "inbox" || said[0].Version < 1 {
		t.Errorf("got %+v", said)
	}
}

func TestMigrateLeavesARunningReceiverAlone(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	got := receiver(t, call{args: []string{"migrate"}, folder: r.folder}).expect(t, 1)
	contains(t, "stderr", got.stderr, "in use by another receiver")
}

func TestMigrateCopy(t *testing.T) {
	t.Parallel()
	target := databasetest.Postgres(t).URL.Reveal()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send").expect(t, 0)
	args := []string{"migrate", "copy", "--from", "sqlite://./data", "--to", target}
	busy := receiver(t, call{args: args, folder: r.folder}).expect(t, 1)
	contains(t, "stderr", busy.stderr, "source", "in use by another receiver")
	r.stop(t, syscall.SIGTERM)
	got := receiver(t, call{args: args, folder: r.folder}).expect(t, 0)
	contains(t, "stdout", got.stdout, "accepted  1 in the source: 1 copied, 0 were there already", "counted again: everything is there")
	var said struct {
		Complete bool
		Inbox    struct{ Known int }
	}
	again := receiver(t, call{args: append(args, "--json"), folder: r.folder}).expect(t, 0)
	if err := json.Unmarshal([]byte(again.stdout), &said); err != nil || !said.Complete || said.Inbox.Known != 1 {
		t.Errorf("got %s, error %v", again.stdout, err)
	}
}

func TestMigrateCopyIsUsedWrongly(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		args []string
		want string
	}{
		{"no target", nil, "the target must be Postgres"},
		{"target is no Postgres", []string{"--to", "sqlite://./hunter2"}, "the target must be Postgres"},
		{"target cannot be read", []string{"--to", "postgres://me:hunter2@db:many/x"}, "--to cannot be read"},
		{"source is Postgres", []string{"--from", "postgres://me:hunter2@db/x", "--to", "postgres://me:hunter2@db/x"}, "--from must be sqlite://"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, nil, append([]string{"migrate", "copy"}, row.args...)...).expect(t, 2)
			contains(t, "stderr", got.stderr, row.want)
			if strings.Contains(got.stderr, "hunter2") {
				t.Errorf("a secret is shown: %s", got.stderr)
			}
		})
	}
}
