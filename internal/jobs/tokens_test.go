package jobs_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

func prepare(t *testing.T, s *workflowtest.Stores, token string) (jobs.Job, jobs.TokenHash) {
	t.Helper()
	hash := sha256.Sum256([]byte(token))
	prepared, err := s.Jobs.Prepare(t.Context(), hash, event.Names{}, time.Now().Add(time.Hour))
	if err != nil || prepared.State != jobs.Submitting || prepared.Origin != "submitted" || prepared.Job != "" || prepared.NextAt != prepared.Horizon {
		t.Fatalf("Prepare = %+v, error %v; want a submitting job without an id whose next time is its horizon", prepared, err)
	}
	return prepared, hash
}

func useToken(t *testing.T, s *workflowtest.Stores, token jobs.TokenHash, job string, digest byte) bool {
	t.Helper()
	valid, err := s.Jobs.UseToken(t.Context(), token, job, event.Digest{digest}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return valid
}

func setJob(t *testing.T, s *workflowtest.Stores, id, job string) jobs.Job {
	t.Helper()
	named, err := s.Jobs.SetJob(t.Context(), id, job, time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return named
}

func find(t *testing.T, s *workflowtest.Stores, id string) jobs.Job {
	t.Helper()
	found, err := s.Jobs.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTokenIsValidForOneEventOfOneJob(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		prepared, token := prepare(t, s, "a")
		if named := setJob(t, s, prepared.ID, "job-1"); named.State != jobs.Waiting || named.Job != "job-1" || named.ID != prepared.ID {
			t.Errorf("SetJob = %+v, want %s waiting as job-1", named, prepared.ID)
		}
		unknown := sha256.Sum256([]byte("b"))
		rows := []struct {
			name   string
			token  jobs.TokenHash
			job    string
			digest byte
			want   bool
		}{
			{name: "another job", token: token, job: "job-2", digest: 1, want: false},
			{name: "another token", token: unknown, job: "job-1", digest: 1, want: false},
			{name: "its job", token: token, job: "job-1", digest: 1, want: true},
			{name: "the same event again", token: token, job: "job-1", digest: 1, want: true},
			{name: "another event", token: token, job: "job-1", digest: 2, want: false},
		}
		for _, row := range rows {
			if got := useToken(t, s, row.token, row.job, row.digest); got != row.want {
				t.Errorf("%s: UseToken = %t, want %t", row.name, got, row.want)
			}
		}
		for hash, want := range map[jobs.TokenHash]bool{token: true, unknown: false} {
			if found, used, err := s.Jobs.FindToken(t.Context(), hash); err != nil || found != want || used != want {
				t.Errorf("FindToken = %t, used %t, error %v; want %t, %[4]t", found, used, err, want)
			}
		}
	})
}

// Of several callbacks at the same moment, one may use the token.
func TestTokenIsUsedOnceConcurrently(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		_, token := prepare(t, s, "a")
		const callbacks = 8
		results := make(chan bool)
		for n := range callbacks {
			go func() {
				valid, err := s.Jobs.UseToken(t.Context(), token, "job-1", event.Digest{byte(n)}, time.Now())
				results <- valid && err == nil
			}()
		}
		valid := 0
		for range callbacks {
			if <-results {
				valid++
			}
		}
		if valid != 1 {
			t.Errorf("valid for %d callbacks, want 1", valid)
		}
	})
}

// The callback may come before the API's answer to the submission, or after it.
func TestCallbackAndAnswerInAnyOrder(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		t.Run("callback with the token first", func(t *testing.T) {
			prepared, token := prepare(t, s, "a")
			track(t, s, "job-1") // is registered too
			if !useToken(t, s, token, "job-1", 1) {
				t.Fatal("UseToken = false, want true")
			}
			if got := find(t, s, prepared.ID); got.Job != "job-1" || got.State != jobs.Waiting {
				t.Errorf("after the callback: %+v, want job-1 waiting", got)
			}
			s.Add(t, workflowtest.Entry(1))
			if got := setJob(t, s, prepared.ID, "job-1"); got.State != jobs.Arrived || got.Event != workflowtest.Entry(1).ID {
				t.Errorf("after the answer: %+v, want it arrived as %s", got, workflowtest.Entry(1).ID)
			}
		})
		t.Run("callback with the account's token first", func(t *testing.T) {
			prepared, _ := prepare(t, s, "b")
			s.Add(t, workflowtest.Entry(2))
			if got := setJob(t, s, prepared.ID, "job-2"); got.State != jobs.Arrived || got.Event != workflowtest.Entry(2).ID {
				t.Errorf("after the answer: %+v, want it arrived as %s", got, workflowtest.Entry(2).ID)
			}
		})
		t.Run("one job for two submissions", func(t *testing.T) {
			lost, token := prepare(t, s, "c")
			resolve(t, s, lost.ID, jobs.Lost, true)
			if got := setJob(t, s, lost.ID, "job-3"); got.State != jobs.Waiting || !got.Resolved.IsZero() || got.Detail != "" {
				t.Errorf("answer for a lost job: %+v, want it waiting without a detail", got)
			}
			twin, _ := prepare(t, s, "d")
			checkState(t, "the second submission", setJob(t, s, twin.ID, "job-3"), jobs.Waiting)
			if !useToken(t, s, token, "job-3", 1) {
				t.Error("UseToken of the first submission = false, want true")
			}
			s.Add(t, workflowtest.Entry(3))
			checkState(t, "the first submission", find(t, s, lost.ID), jobs.Arrived)
			checkState(t, "the second submission", find(t, s, twin.ID), jobs.Arrived)
		})
	})
}

// SetDetail does not undo what a callback has set meanwhile.
func TestSetDetail(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		prepared, token := prepare(t, s, "a")
		setDetail := func(text string) jobs.Job {
			if err := s.Jobs.SetDetail(t.Context(), prepared.ID, text); err != nil {
				t.Fatal(err)
			}
			return find(t, s, prepared.ID)
		}
		if got := setDetail("first"); got.Detail != "first" || got.State != jobs.Submitting || got.NextAt != prepared.NextAt {
			t.Errorf("before the callback: %+v, want the detail \"first\" and nothing else changed", got)
		}
		useToken(t, s, token, "job-1", 1)
		if got := setDetail("second"); got.Detail != "first" || got.State != jobs.Waiting || !got.NextAt.Before(prepared.NextAt) {
			t.Errorf("after the callback: %+v, want the detail \"first\" of a waiting job", got)
		}
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		forget := func(id string) {
			if err := s.Jobs.Forget(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		prepared, token := prepare(t, s, "a")
		forget(prepared.ID)
		if _, err := s.Jobs.Find(t.Context(), prepared.ID); !errors.Is(err, database.ErrNotFound) {
			t.Errorf("Find of a forgotten job: error = %v, want ErrNotFound", err)
		}
		if useToken(t, s, token, "job-1", 1) {
			t.Error("UseToken of a forgotten job = true, want false")
		}
		submitted, _ := prepare(t, s, "b")
		setJob(t, s, submitted.ID, "job-2")
		forget(submitted.ID)
		if _, err := s.Jobs.Find(t.Context(), submitted.ID); err != nil {
			t.Errorf("Find of a submitted job: error = %v, want nil", err)
		}
	})
}
