package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
)

// Jobs are named in a file, on standard input or as arguments; each is waited for once.
func TestExpect(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		folder := t.TempDir()
		env := []string{"RECEIVER_DATA_DIR=" + folder, "RECEIVER_WEBHOOK_TOKENS=" + crashToken, "RECEIVER_DEEPIMAGE_API_KEY=key-0123456789"}
		if place.Kind == database.Postgres {
			env = append(env, "RECEIVER_DATABASE_URL="+place.Config.URL.Reveal())
		} else {
			place.Folder = folder
		}
		run(t, env, "migrate").expect(t, 0)
		list := filepath.Join(folder, "jobs.txt")
		if err := os.WriteFile(list, []byte("job-2\n\n  job-1\t\r\njob-2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		contains(t, "file", run(t, env, "expect", "--file", list).expect(t, 0).stdout, "job-1  waiting\njob-2  waiting\n")
		piped := receiver(t, call{env: env, args: []string{"expect", "--file", "-", "--json", "job-1"}, stdin: "job-3"}).expect(t, 0).stdout
		contains(t, "standard input", piped, `"job": "job-1"`, `"job": "job-3"`, `"state": "waiting"`)
		if n := count(t, place.Open(t).Work.Reader, "SELECT count(*) FROM tracked_jobs"); n != 3 {
			t.Errorf("%d jobs are waited for", n)
		}
		for name, text := range map[string]string{"empty": "\n \n", "no text": "\xff", "zero byte": "a\x00b"} {
			contains(t, name, receiver(t, call{env: env, args: []string{"expect", "--file", "-"}, stdin: text}).expect(t, 2).stderr, "job")
		}
	})
}
