package main_test

import (
	"encoding/json"
	"regexp"
	"testing"
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
