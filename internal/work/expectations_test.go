package work_test

import (
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/work"
)

func expect(t *testing.T, s *work.Store, jobs ...string) map[string]work.Expectation {
	t.Helper()
	list, err := s.Expect(t.Context(), jobs, time.Now().Add(-time.Second), time.Now().Add(time.Hour))
	if err != nil || len(list) != len(jobs) {
		t.Fatalf("got %+v, error %v", list, err)
	}
	byJob := map[string]work.Expectation{}
	for _, e := range list {
		byJob[e.Job] = e
	}
	return byJob
}

func due(t *testing.T, s *work.Store, limit int) []work.Expectation {
	t.Helper()
	list, err := s.Due(t.Context(), time.Hour, limit)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		add(t, s, arrival(1))
		first := expect(t, s, "job-1", "job-2", "job-3", "job-4")
		if e := first["job-1"]; e.State != work.Arrived || e.Event != arrival(1).ID || e.Settled.IsZero() || !e.NextAt.IsZero() {
			t.Errorf("a job whose callback was there before: %+v", e)
		}
		if again := expect(t, s, "job-2"); again["job-2"].ID != first["job-2"].ID || again["job-2"].State != work.Expected {
			t.Errorf("registered twice: %+v", again)
		}
		claimed := due(t, s, 2)
		if rest := due(t, s, 5); len(claimed) != 2 || len(rest) != 1 || len(due(t, s, 5)) != 0 {
			t.Fatalf("claimed %+v, then %+v", claimed, rest)
		}
		if err := s.PutOff(t.Context(), first["job-2"].ID, time.Now().Add(-time.Second), true, "not ready"); err != nil {
			t.Fatal(err)
		}
		if again := due(t, s, 5); len(again) != 1 || again[0].Job != "job-2" || again[0].Polls != 1 || again[0].Detail != "not ready" {
			t.Errorf("put off: %+v", again)
		}
		if settled, err := s.Settle(t.Context(), first["job-3"].ID, work.Lost, "", "nobody knows it"); err != nil || !settled {
			t.Fatal(err)
		}
		reconciled := arrival(4)
		reconciled.Origin = event.OriginReconciled
		add(t, s, arrival(2), arrival(3), reconciled, arrival(5))
		for job, want := range map[string]work.ExpectationState{"job-2": work.Arrived, "job-3": work.Arrived, "job-4": work.Reconciled} {
			if got := expect(t, s, job)[job]; got.State != want || got.Event == "" || got.Detail != "" {
				t.Errorf("%s: %+v", job, got)
			}
		}
		// What came first counts.
		if settled, err := s.Settle(t.Context(), first["job-2"].ID, work.Failed, "", "too late"); err != nil || settled {
			t.Fatal(err)
		}
		counts, err := s.ExpectationCounts(t.Context())
		if err != nil || counts[work.Arrived] != 3 || counts[work.Reconciled] != 1 || len(counts) != 2 {
			t.Errorf("counts %v, error %v", counts, err)
		}
		list, err := s.Expectations(t.Context(), work.Arrived, "", 10)
		if err != nil || len(list) != 3 || list[0].ID < list[1].ID {
			t.Errorf("list %+v, error %v", list, err)
		}
		if rest, err := s.Expectations(t.Context(), "", list[1].ID, 10); err != nil || len(rest) == 0 || rest[0].ID >= list[1].ID {
			t.Errorf("rest %+v, error %v", rest, err)
		}
	})
}

// A process that died does not keep its jobs from being asked about.
func TestLeasesOfTheDead(t *testing.T) {
	t.Parallel()
	s, _ := open(t, databasetest.NewPlace(t, 0))
	expect(t, s, "job-1")
	if n := len(due(t, s, 5)) + 10*len(due(t, s, 5)); n != 1 {
		t.Errorf("%d", n)
	}
	if err := s.FreeDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(due(t, s, 5)); n != 1 {
		t.Errorf("%d are due", n)
	}
}
