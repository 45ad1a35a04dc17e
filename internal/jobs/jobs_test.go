package jobs_test

import (
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

func expect(t *testing.T, s *workflowtest.Stores, ids ...string) map[string]jobs.Job {
	t.Helper()
	list, err := s.Jobs.Track(t.Context(), ids, time.Now().Add(-time.Second), time.Now().Add(time.Hour))
	if err != nil || len(list) != len(ids) {
		t.Fatalf("got %+v, error %v", list, err)
	}
	byJob := map[string]jobs.Job{}
	for _, e := range list {
		byJob[e.Job] = e
	}
	return byJob
}

func due(t *testing.T, s *workflowtest.Stores, limit int) []jobs.Job {
	t.Helper()
	list, err := s.Jobs.AcquireDue(t.Context(), time.Hour, limit)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		first := expect(t, s, "job-1", "job-2", "job-3", "job-4")
		if e := first["job-1"]; e.State != jobs.Arrived || e.Event != workflowtest.Entry(1).ID || e.Resolved.IsZero() || !e.NextAt.IsZero() {
			t.Errorf("a job whose callback was there before: %+v", e)
		}
		if again := expect(t, s, "job-2"); again["job-2"].ID != first["job-2"].ID || again["job-2"].State != jobs.Waiting {
			t.Errorf("registered twice: %+v", again)
		}
		claimed := due(t, s, 2)
		if rest := due(t, s, 5); len(claimed) != 2 || len(rest) != 1 || len(due(t, s, 5)) != 0 {
			t.Fatalf("claimed %+v, then %+v", claimed, rest)
		}
		if err := s.Jobs.Reschedule(t.Context(), first["job-2"].ID, time.Now().Add(-time.Second), true, "not ready"); err != nil {
			t.Fatal(err)
		}
		if again := due(t, s, 5); len(again) != 1 || again[0].Job != "job-2" || again[0].Polls != 1 || again[0].Detail != "not ready" {
			t.Errorf("put off: %+v", again)
		}
		if settled, err := s.Jobs.Resolve(t.Context(), first["job-3"].ID, jobs.Lost, "", "nobody knows it"); err != nil || !settled {
			t.Fatal(err)
		}
		reconciled := workflowtest.Entry(4)
		reconciled.Origin = event.OriginReconciled
		s.Add(t, workflowtest.Entry(2), workflowtest.Entry(3), reconciled, workflowtest.Entry(5))
		for job, want := range map[string]jobs.State{"job-2": jobs.Arrived, "job-3": jobs.Arrived, "job-4": jobs.Reconciled} {
			if got := expect(t, s, job)[job]; got.State != want || got.Event == "" || got.Detail != "" {
				t.Errorf("%s: %+v", job, got)
			}
		}
		// What came first counts.
		if settled, err := s.Jobs.Resolve(t.Context(), first["job-2"].ID, jobs.Failed, "", "too late"); err != nil || settled {
			t.Fatal(err)
		}
		counts, err := s.Jobs.Counts(t.Context())
		if err != nil || counts[jobs.Arrived] != 3 || counts[jobs.Reconciled] != 1 || len(counts) != 2 {
			t.Errorf("counts %v, error %v", counts, err)
		}
		list, err := s.Jobs.List(t.Context(), jobs.Arrived, "", 10)
		if err != nil || len(list) != 3 || list[0].ID < list[1].ID {
			t.Errorf("list %+v, error %v", list, err)
		}
		if rest, err := s.Jobs.List(t.Context(), "", list[1].ID, 10); err != nil || len(rest) == 0 || rest[0].ID >= list[1].ID {
			t.Errorf("rest %+v, error %v", rest, err)
		}
	})
}

// A process that died does not keep its jobs from being asked about.
func TestLeasesOfTheDead(t *testing.T) {
	t.Parallel()
	s := workflowtest.Open(t, databasetest.NewPlace(t, 0))
	expect(t, s, "job-1")
	if n := len(due(t, s, 5)) + 10*len(due(t, s, 5)); n != 1 {
		t.Errorf("%d", n)
	}
	if err := s.Jobs.ReleaseLeases(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(due(t, s, 5)); n != 1 {
		t.Errorf("%d are due", n)
	}
}
