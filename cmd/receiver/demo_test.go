package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDemoStoresWhatTheFakeSends(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "demo")
	// What a person has set for his own receiver is not the demo's business.
	shown := receiver(t, call{args: []string{"demo", "--json", "--dir", folder}, env: []string{"RECEIVER_DATA_DIR=/nowhere", "RECEIVER_NO_SUCH=1"}})
	var report struct {
		Callbacks, Events int
		Images            []struct{ Key string }
		Refused           []struct{ Reason string }
		Folder            string
	}
	if err := json.Unmarshal([]byte(shown.stdout), &report); shown.code != 0 || err != nil {
		t.Fatalf("exit %d, error %v\n%s", shown.code, err, shown.stderr)
	}
	if report.Callbacks != 15 || report.Events != 10 || len(report.Images) != 10 || len(report.Refused) != 2 {
		t.Errorf("got %+v", report)
	}
	for _, image := range report.Images {
		if _, err := os.Stat(filepath.Join(report.Folder, image.Key)); err != nil {
			t.Error(err)
		}
	}
	again := receiver(t, call{args: []string{"demo", "--dir", folder}})
	if again.code != 1 || !strings.Contains(again.stderr, "holds a receiver's data already") {
		t.Errorf("a second time: exit %d\n%s", again.code, again.stderr)
	}
}
