package jobs_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

func prepare(t *testing.T, s *workflowtest.Stores, token string) (jobs.Job, jobs.TokenHash) {
	t.Helper()
	hash := sha256.Sum256([]byte(token))
	made, err := s.Jobs.Prepare(t.Context(), hash, time.Now().Add(time.Hour))
	if err != nil || made.State != jobs.Submitting || made.Origin != jobs.Submitted || made.Job != "" || made.NextAt != made.Horizon {
		t.Fatalf("got %+v, error %v", made, err)
	}
	return made, hash
}

func use(t *testing.T, s *workflowtest.Stores, token jobs.TokenHash, job string, digest byte) bool {
	t.Helper()
	isGood, err := s.Jobs.UseToken(t.Context(), token, job, event.Digest{digest}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return isGood
}

func name(t *testing.T, s *workflowtest.Stores, id, job string) jobs.Job {
	t.Helper()
	named, err := s.Jobs.SetJob(t.Context(), id, job, time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return named
}

func TestTokenIsGoodForOneEventOfOneJob(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		made, token := prepare(t, s, "a")
		if named := name(t, s, made.ID, "job-1"); named.State != jobs.Waiting || named.Job != "job-1" || named.ID != made.ID {
			t.Errorf("named: %+v", named)
		}
		stranger := sha256.Sum256([]byte("b"))
		rows := []struct {
			name   string
			token  jobs.TokenHash
			job    string
			digest byte
			want   bool
		}{
			{"another job", token, "job-2", 1, false},
			{"another token", stranger, "job-1", 1, false},
			{"its job", token, "job-1", 1, true},
			{"the same again", token, "job-1", 1, true},
			{"another event", token, "job-1", 2, false},
		}
		for _, row := range rows {
			if got := use(t, s, row.token, row.job, row.digest); got != row.want {
				t.Errorf("%s: %t", row.name, got)
			}
		}
		for hash, want := range map[jobs.TokenHash]bool{token: true, stranger: false} {
			if got, err := s.Jobs.HasToken(t.Context(), hash); err != nil || got != want {
				t.Errorf("token known: %t, error %v", got, err)
			}
		}
	})
}

// Two callbacks at the same moment, of which one only may be taken.
func TestTokenIsUsedOnceAtTheSameTime(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		_, token := prepare(t, s, "a")
		answers := make(chan bool)
		for n := range 8 {
			go func() {
				isGood, err := s.Jobs.UseToken(t.Context(), token, "job-1", event.Digest{byte(n)}, time.Now())
				answers <- isGood && err == nil
			}()
		}
		good := 0
		for range 8 {
			if <-answers {
				good++
			}
		}
		if good != 1 {
			t.Errorf("%d were good", good)
		}
	})
}

// Whatever comes first, the callback or the name of the job, the expectation is settled; also one that was given up.
func TestCallbackNamesTheJob(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		made, token := prepare(t, s, "a")
		expect(t, s, "job-1") // somebody registered it besides
		if !use(t, s, token, "job-1", 1) {
			t.Fatal("the token is not good")
		}
		if named := one(t, s, made.ID); named.Job != "job-1" || named.State != jobs.Waiting {
			t.Errorf("got %+v", named)
		}
		s.Add(t, workflowtest.Entry(1))
		if answered := name(t, s, made.ID, "job-1"); answered.State != jobs.Arrived || answered.Event != workflowtest.Entry(1).ID {
			t.Errorf("got %+v", answered)
		}
		// The callback of the account came and was worked on, before the vendor's answer.
		other, _ := prepare(t, s, "b")
		s.Add(t, workflowtest.Entry(2))
		if answered := name(t, s, other.ID, "job-2"); answered.State != jobs.Arrived || answered.Event != workflowtest.Entry(2).ID {
			t.Errorf("got %+v", answered)
		}
		// The vendor answers one job to two submissions, of which one was given up before.
		late, again := prepare(t, s, "c")
		if _, err := s.Jobs.Resolve(t.Context(), late.ID, jobs.Lost, "", "no answer"); err != nil {
			t.Fatal(err)
		}
		if answered := name(t, s, late.ID, "job-3"); answered.State != jobs.Waiting || !answered.Resolved.IsZero() || answered.Detail != "" {
			t.Errorf("got %+v", answered)
		}
		twin, _ := prepare(t, s, "d")
		if answered := name(t, s, twin.ID, "job-3"); answered.State != jobs.Waiting || !use(t, s, again, "job-3", 1) {
			t.Errorf("got %+v", answered)
		}
		s.Add(t, workflowtest.Entry(3))
		if one(t, s, late.ID).State != jobs.Arrived || one(t, s, twin.ID).State != jobs.Arrived {
			t.Error("a twin does not arrive")
		}
	})
}

func one(t *testing.T, s *workflowtest.Stores, id string) jobs.Job {
	t.Helper()
	found, err := s.Jobs.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is said of a job without a name does not undo what its callback has set meanwhile.
func TestRemark(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		made, token := prepare(t, s, "a")
		remark := func(text string) jobs.Job {
			if err := s.Jobs.SetDetail(t.Context(), made.ID, text); err != nil {
				t.Fatal(err)
			}
			return one(t, s, made.ID)
		}
		if e := remark("first"); e.Detail != "first" || e.State != jobs.Submitting || e.NextAt != made.NextAt {
			t.Errorf("got %+v", e)
		}
		use(t, s, token, "job-1", 1)
		if e := remark("second"); e.Detail != "first" || e.State != jobs.Waiting || !e.NextAt.Before(made.NextAt) {
			t.Errorf("got %+v", e)
		}
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		made, token := prepare(t, s, "a")
		if err := s.Jobs.Forget(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Jobs.Find(t.Context(), made.ID); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		if use(t, s, token, "job-1", 1) {
			t.Error("the token of a forgotten job is good")
		}
		kept, _ := prepare(t, s, "b")
		name(t, s, kept.ID, "job-2")
		if err := s.Jobs.Forget(t.Context(), kept.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Jobs.Find(t.Context(), kept.ID); err != nil {
			t.Errorf("a job that was submitted is forgotten: %v", err)
		}
	})
}
