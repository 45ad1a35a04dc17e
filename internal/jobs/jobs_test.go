package jobs_test

import (
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/google/go-cmp/cmp"
)

// track tracks jobs that are due now, and returns them by their ids at Deep Image.
func track(t *testing.T, s *workflowtest.Stores, ids ...string) map[string]jobs.Job {
	t.Helper()
	list, err := s.Jobs.Track(t.Context(), ids, time.Now().Add(-time.Second), time.Now().Add(time.Hour))
	if err != nil || len(list) != len(ids) {
		t.Fatalf("Track(%v) = %+v, error %v; want %d jobs", ids, list, err, len(ids))
	}
	byJob := map[string]jobs.Job{}
	for _, j := range list {
		byJob[j.Job] = j
	}
	return byJob
}

func acquireDue(t *testing.T, s *workflowtest.Stores, limit int) []jobs.Job {
	t.Helper()
	list, err := s.Jobs.AcquireDue(t.Context(), time.Hour, limit)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// resolve resolves a job and checks whether it was open.
func resolve(t *testing.T, s *workflowtest.Stores, id string, state jobs.State, want bool) {
	t.Helper()
	if got, err := s.Jobs.Resolve(t.Context(), id, state, "", "a detail"); err != nil || got != want {
		t.Fatalf("Resolve to %s = %t, error %v; want %t", state, got, err, want)
	}
}

func checkState(t *testing.T, what string, got jobs.Job, want jobs.State) {
	t.Helper()
	if got.State != want {
		t.Errorf("%s: state of %+v = %s, want %s", what, got, got.State, want)
	}
}

func TestTrack(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		tracked := track(t, s, "job-1", "job-2")
		arrived := tracked["job-1"]
		checkState(t, "a job whose event exists", arrived, jobs.Arrived)
		if want := workflowtest.Entry(1).ID; arrived.Event != want || arrived.Resolved.IsZero() || !arrived.NextAt.IsZero() {
			t.Errorf("arrived job = %+v, want event %s, a time of resolution and no next time", arrived, want)
		}
		again := track(t, s, "job-2")["job-2"]
		checkState(t, "a job that is tracked twice", again, jobs.Waiting)
		if want := tracked["job-2"].ID; again.ID != want {
			t.Errorf("id of a job that is tracked twice = %s, want %s", again.ID, want)
		}
	})
}

func TestAcquireDue(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		tracked := track(t, s, "job-1", "job-2", "job-3")
		for n, want := range []int{2, 1, 0} {
			if got := acquireDue(t, s, 2); len(got) != want {
				t.Fatalf("call %d of AcquireDue = %+v, want %d jobs", n, got, want)
			}
		}
		if err := s.Jobs.Reschedule(t.Context(), tracked["job-2"].ID, time.Now().Add(-time.Second), true, "not ready"); err != nil {
			t.Fatal(err)
		}
		again := acquireDue(t, s, 5)
		if len(again) != 1 || again[0].Job != "job-2" || again[0].Polls != 1 || again[0].Detail != "not ready" {
			t.Errorf("AcquireDue after Reschedule = %+v, want job-2 with 1 poll and its detail", again)
		}
	})
}

// An event resolves tracked jobs whatever their state is; what came first counts otherwise.
func TestEventsResolveJobs(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		tracked := track(t, s, "job-2", "job-3", "job-4")
		resolve(t, s, tracked["job-3"].ID, jobs.Lost, true)
		reconciled := workflowtest.Entry(4)
		reconciled.Origin = event.OriginReconciled
		s.Add(t, workflowtest.Entry(2), workflowtest.Entry(3), reconciled, workflowtest.Entry(5))
		for job, want := range map[string]jobs.State{"job-2": jobs.Arrived, "job-3": jobs.Arrived, "job-4": jobs.Reconciled} {
			got := track(t, s, job)[job]
			checkState(t, job, got, want)
			if got.Event == "" || got.Detail != "" {
				t.Errorf("%s = %+v, want an event and no detail", job, got)
			}
		}
		resolve(t, s, tracked["job-2"].ID, jobs.Failed, false)
	})
}

func TestListAndCounts(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		tracked := track(t, s, "job-1", "job-2", "job-3", "job-4")
		resolve(t, s, tracked["job-4"].ID, jobs.Lost, true)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2), workflowtest.Entry(3))
		counts, err := s.Jobs.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[jobs.State]int64{jobs.Arrived: 3, jobs.Lost: 1}, counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		list, err := s.Jobs.List(t.Context(), jobs.Arrived, "", 10)
		if err != nil || len(list) != 3 || list[0].ID < list[1].ID {
			t.Fatalf("List of arrived jobs = %+v, error %v; want 3, the newest first", list, err)
		}
		rest, err := s.Jobs.List(t.Context(), "", list[1].ID, 10)
		if err != nil || len(rest) == 0 || rest[0].ID >= list[1].ID {
			t.Errorf("List before %s = %+v, error %v; want older jobs", list[1].ID, rest, err)
		}
	})
}

// The jobs that a killed process has leased are due again at the next start.
func TestReleaseLeases(t *testing.T) {
	t.Parallel()
	s := workflowtest.Open(t, workflowtest.NewPlace(t, database.SQLite))
	track(t, s, "job-1")
	for n, want := range []int{1, 0} {
		if got := acquireDue(t, s, 5); len(got) != want {
			t.Errorf("call %d of AcquireDue = %+v, want %d jobs", n, got, want)
		}
	}
	if err := s.Jobs.ReleaseLeases(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := acquireDue(t, s, 5); len(got) != 1 {
		t.Errorf("AcquireDue after ReleaseLeases = %+v, want 1 job", got)
	}
}
