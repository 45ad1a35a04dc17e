package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "demo")
	// The user's environment does not count.
	shown := receiver(t, call{args: []string{"demo", "--json", "--dir", folder}, env: []string{"RECEIVER_DATA_DIR=/nowhere", "RECEIVER_NO_SUCH=1"}})
	var report struct {
		Callbacks, Events int
		Images            []struct{ Key string }
		Refused           []struct{ Reason string }
		Folder            string
	}
	if err := json.Unmarshal([]byte(shown.stdout), &report); shown.code != 0 || err != nil {
		t.Fatalf("exit code = %d, error %v, want 0\n%s", shown.code, err, shown.stderr)
	}
	if report.Callbacks != 15 || report.Events != 10 || len(report.Images) != 10 || len(report.Refused) != 2 {
		t.Errorf("report = %+v, want 15 callbacks, 10 events, 10 images, 2 refused", report)
	}
	for _, image := range report.Images {
		if _, err := os.Stat(filepath.Join(report.Folder, image.Key)); err != nil {
			t.Error(err)
		}
	}
	receiver(t, call{args: []string{"demo", "--dir", folder}}).expect(t, 1) // the folder has the data of a receiver
}
