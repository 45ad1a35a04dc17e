package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/google/go-cmp/cmp"
)

// trackedJob is a job as "jobs --json" prints it.
type trackedJob struct{ Job, State, Origin string }

func readJobs(t *testing.T, text string) (jobs []trackedJob) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &jobs); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(jobs, func(a, b trackedJob) int { return strings.Compare(a.Job, b.Job) })
	return jobs
}

// Jobs are named in a file, on standard input or as arguments; each is tracked once.
func TestJobs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		folder := t.TempDir()
		env := []string{
			"RECEIVER_DATA_DIR=" + folder, "RECEIVER_WEBHOOK_TOKENS=" + crashToken, "RECEIVER_DEEPIMAGE_API_KEY=key-0123456789",
			"RECEIVER_ADMIN_ADDR=" + testkit.FreeAddress(t),
		}
		if place.Kind == database.Postgres {
			env = append(env, "RECEIVER_DATABASE_URL="+place.Config.URL.Reveal())
		}
		run(t, env, "migrate").expect(t, 0)
		list := filepath.Join(folder, "jobs.txt")
		if err := os.WriteFile(list, []byte("job-2\n\n  job-1\t\r\njob-2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		waiting := func(ids ...string) (jobs []trackedJob) {
			for _, id := range ids {
				jobs = append(jobs, trackedJob{Job: id, State: "waiting", Origin: "registered"})
			}
			return jobs
		}
		for _, row := range []struct {
			name  string
			args  []string
			stdin string
			want  []trackedJob
		}{
			{name: "file", args: []string{"track", "--file", list}, want: waiting("job-1", "job-2")},
			{name: "standard input and argument", args: []string{"track", "--file", "-", "job-1"}, stdin: "job-3", want: waiting("job-1", "job-3")},
			{name: "list", args: []string{"list"}, want: waiting("job-1", "job-2", "job-3")},
			{name: "list with limit", args: []string{"list", "--limit", "1"}, want: waiting("job-3")},
			{name: "list of another state", args: []string{"list", "--state", "lost"}, want: []trackedJob{}},
		} {
			t.Run(row.name, func(t *testing.T) {
				args := append([]string{"jobs"}, append(row.args, "--json")...)
				got := receiver(t, call{env: env, args: args, stdin: row.stdin}).expect(t, 0)
				if diff := cmp.Diff(row.want, readJobs(t, got.stdout)); diff != "" {
					t.Errorf("jobs differ (-want +got):\n%s", diff)
				}
			})
		}
		for name, text := range map[string]string{"empty": "\n \n", "not text": "\xff", "zero byte": "a\x00b"} {
			t.Run(name, func(t *testing.T) {
				receiver(t, call{env: env, args: []string{"jobs", "track", "--file", "-"}, stdin: text}).expect(t, 2)
			})
		}
		t.Run("without an API key", func(t *testing.T) {
			without := slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "RECEIVER_DEEPIMAGE_API_KEY=") })
			run(t, without, "jobs", "track", "job-1").expect(t, 1)
		})
	})
}
