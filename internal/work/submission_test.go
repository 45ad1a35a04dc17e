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
	named, err := s.Name(t.Context(), id, job, time.Now(), time.Now().Add(time.Hour))
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

// Whatever comes first, the callback or the name of the job, the expectation is settled; also one that was given up.
func TestCallbackNamesTheJob(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		made, token := prepare(t, s, "a")
		expect(t, s, "job-1") // somebody registered it besides
		if !use(t, s, token, "job-1", 1) {
			t.Fatal("the token is not good")
		}
		if named := one(t, s, made.ID); named.Job != "job-1" || named.State != work.Expected {
			t.Errorf("got %+v", named)
		}
		add(t, s, arrival(1))
		if answered := name(t, s, made.ID, "job-1"); answered.State != work.Arrived || answered.Event != arrival(1).ID {
			t.Errorf("got %+v", answered)
		}
		// The callback of the account came and was worked on, before the vendor's answer.
		other, _ := prepare(t, s, "b")
		add(t, s, arrival(2))
		if answered := name(t, s, other.ID, "job-2"); answered.State != work.Arrived || answered.Event != arrival(2).ID {
			t.Errorf("got %+v", answered)
		}
		// The vendor answers one job to two submissions, of which one was given up before.
		late, again := prepare(t, s, "c")
		if _, err := s.Settle(t.Context(), late.ID, work.Lost, "", "no answer"); err != nil {
			t.Fatal(err)
		}
		if answered := name(t, s, late.ID, "job-3"); answered.State != work.Expected || !answered.Settled.IsZero() || answered.Detail != "" {
			t.Errorf("got %+v", answered)
		}
		twin, _ := prepare(t, s, "d")
		if answered := name(t, s, twin.ID, "job-3"); answered.State != work.Expected || !use(t, s, again, "job-3", 1) {
			t.Errorf("got %+v", answered)
		}
		add(t, s, arrival(3))
		if one(t, s, late.ID).State != work.Arrived || one(t, s, twin.ID).State != work.Arrived {
			t.Error("a twin does not arrive")
		}
	})
}

func one(t *testing.T, s *work.Store, id string) work.Expectation {
	t.Helper()
	found, err := s.Expectation(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is said of a job without a name does not undo what its callback has set meanwhile.
func TestRemark(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		made, token := prepare(t, s, "a")
		remark := func(text string) work.Expectation {
			if err := s.Remark(t.Context(), made.ID, text); err != nil {
				t.Fatal(err)
			}
			return one(t, s, made.ID)
		}
		if e := remark("first"); e.Detail != "first" || e.State != work.Submitting || e.NextAt != made.NextAt {
			t.Errorf("got %+v", e)
		}
		use(t, s, token, "job-1", 1)
		if e := remark("second"); e.Detail != "first" || e.State != work.Expected || !e.NextAt.Before(made.NextAt) {
			t.Errorf("got %+v", e)
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
