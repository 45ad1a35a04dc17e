package main_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
)

func TestMigratePrintsVersions(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for range 2 { // the second one finds nothing to do
		got := receiver(t, call{args: []string{"migrate"}, folder: folder}).expect(t, 0)
		if want := `^inbox +.* \d+\nwork +.* \d+\nqueue +.* \d+\n$`; !regexp.MustCompile(want).MatchString(got.stdout) {
			t.Errorf("stdout = %q, want %s", got.stdout, want)
		}
	}
	var stores []struct {
		Store   string
		Version int
	}
	got := receiver(t, call{args: []string{"migrate", "--json"}, folder: folder}).expect(t, 0)
	if err := json.Unmarshal([]byte(got.stdout), &stores); err != nil {
		t.Fatal(err)
	}
	if len(stores) != 3 || stores[0].Store != "inbox" || stores[0].Version < 1 {
		t.Errorf("stores = %+v, want 3, the first inbox with a version", stores)
	}
}

func TestMigrateFailsWhileReceiverRuns(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	receiver(t, call{args: []string{"migrate"}, folder: r.folder}).expect(t, 1)
}

func TestMigrateCopy(t *testing.T) {
	t.Parallel()
	target := databasetest.Postgres(t).URL.Reveal()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send").expect(t, 0)
	args := []string{"migrate", "copy", "--from", "sqlite://./data", "--to", target}
	receiver(t, call{args: args, folder: r.folder}).expect(t, 1) // the source is in use
	r.stop(t, syscall.SIGTERM)
	contains(t, "stdout", receiver(t, call{args: args, folder: r.folder}).expect(t, 0).stdout, "1 in the source", "1 copied")
	var report struct {
		Complete bool
		Inbox    struct{ Known int }
	}
	again := receiver(t, call{args: append(args, "--json"), folder: r.folder}).expect(t, 0)
	if err := json.Unmarshal([]byte(again.stdout), &report); err != nil || !report.Complete || report.Inbox.Known != 1 {
		t.Errorf("report = %+v, error %v, want complete with 1 known", report, err)
	}
}

// TestMigrateCopyCreatesNoSource is fault E8: a source that does not exist is an error, and is not created.
func TestMigrateCopyCreatesNoSource(t *testing.T) {
	t.Parallel()
	folder, target := t.TempDir(), databasetest.Postgres(t).URL.Reveal()
	receiver(t, call{args: []string{"migrate", "copy", "--from", "sqlite://./missing", "--to", target}, folder: folder}).expect(t, 1)
	if created, err := os.ReadDir(folder); err != nil || len(created) > 0 {
		t.Errorf("files = %v, error %v, want none", created, err)
	}
}

func TestMigrateCopyUsage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		args []string
		want string // in stderr
	}{
		{name: "no target", want: "--to"},
		{name: "target is not Postgres", args: []string{"--to", "sqlite://./hunter2"}, want: "--to"},
		{name: "malformed target", args: []string{"--to", "postgres://me:hunter2@db:many/x"}, want: "--to"},
		{name: "source is Postgres", args: []string{"--from", "postgres://me:hunter2@db/x", "--to", "postgres://me:hunter2@db/x"}, want: "--from"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, nil, append([]string{"migrate", "copy"}, row.args...)...).expect(t, 2)
			contains(t, "stderr", got.stderr, row.want)
			if strings.Contains(got.stderr, "hunter2") {
				t.Errorf("stderr holds a secret, want none: %s", got.stderr)
			}
		})
	}
}
