package work_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/work"
)

func prepare(t *testing.T, s *work.Store, token string) (work.Expectation, work.TokenHash) {
	t.Helper()
	hash := sha256.Sum256([]byte(token))
	made, err := s.Prepare(t.Context(), hash, time.Now().Add(time.Hour))
	if err != nil || made.State != work.Submitting || made.Origin != work.Submitted || made.Job != "" || made.NextAt != made.Horizon {
		t.Fatalf("got %+v, error %v", made, err)
	}
	return made, hash
}

func use(t *testing.T, s *work.Store, token work.TokenHash, job string, digest byte) bool {
	t.Helper()
	isGood, err := s.UseToken(t.Context(), token, job, event.Digest{digest}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return isGood
}

func name(t *testing.T, s *work.Store, id, job string) work.Expectation {
	t.Helper()
	named, err := s.Name(t.Context(), id, job, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return named
}

func TestTokenIsGoodForOneEventOfOneJob(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		made, token := prepare(t, s, "a")
		if named := name(t, s, made.ID, "job-1"); named.State != work.Expected || named.Job != "job-1" || named.ID != made.ID {
			t.Errorf("named: %+v", named)
		}
		stranger := sha256.Sum256([]byte("b"))
		rows := []struct {
			name   string
			token  work.TokenHash
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
		for hash, want := range map[work.TokenHash]bool{token: true, stranger: false} {
			if got, err := s.HasToken(t.Context(), hash); err != nil || got != want {
				t.Errorf("token known: %t, error %v", got, err)
			}
		}
	})
}

// Two callbacks at the same moment, of which one only may be taken.
func TestTokenIsUsedOnceAtTheSameTime(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		_, token := prepare(t, s, "a")
		answers := make(chan bool)
		for n := range 8 {
			go func() {
				isGood, err := s.UseToken(t.Context(), token, "job-1", event.Digest{byte(n)}, time.Now())
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

// Whatever comes first, the callback or the name of the job, one expectation is the outcome.
func TestCallbackNamesTheJob(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		made, token := prepare(t, s, "a")
		expect(t, s, "job-1") // somebody registered it besides
		if !use(t, s, token, "job-1", 1) {
			t.Fatal("the token is not good")
		}
		named, err := s.Expectation(t.Context(), made.ID)
		if err != nil || named.Job != "job-1" || named.State != work.Expected {
			t.Errorf("got %+v, error %v", named, err)
		}
		add(t, s, arrival(1))
		if answered := name(t, s, made.ID, "job-1"); answered.State != work.Arrived || answered.Event != arrival(1).ID {
			t.Errorf("got %+v", answered)
		}
		// The callback of the account came and was worked on, before the vendor's answer.
		other, _ := prepare(t, s, "b")
		expect(t, s, "job-2")
		add(t, s, arrival(2))
		if answered := name(t, s, other.ID, "job-2"); answered.State != work.Arrived || answered.Event != arrival(2).ID {
			t.Errorf("got %+v", answered)
		}
		if all, err := s.Expectations(t.Context(), "", "", 10); err != nil || len(all) != 2 {
			t.Errorf("there are %+v, error %v", all, err)
		}
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		made, token := prepare(t, s, "a")
		if err := s.Forget(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Expectation(t.Context(), made.ID); !errors.Is(err, work.ErrNotFound) {
			t.Errorf("error %v", err)
		}
		if use(t, s, token, "job-1", 1) {
			t.Error("the token of a forgotten job is good")
		}
		kept, _ := prepare(t, s, "b")
		name(t, s, kept.ID, "job-2")
		if err := s.Forget(t.Context(), kept.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Expectation(t.Context(), kept.ID); err != nil {
			t.Errorf("a job that was submitted is forgotten: %v", err)
		}
	})
}
