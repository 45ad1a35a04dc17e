package inbox_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/google/go-cmp/cmp"
)

// signed returns an event of a job with two signed results.
func signed(t *testing.T, job, signature string) event.Event {
	t.Helper()
	e, err := event.Decode([]byte(`{"job":"` + job + `","results":["https://h/a.png?X-Amz-Signature=` + signature + `","https://h/b.png?X-Amz-Signature=` + signature + `"]}`))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func checkRenewals(t *testing.T, s *store, want ...event.Renewal) []inbox.Renewal {
	t.Helper()
	list, err := s.Renewals(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []event.Renewal
	for _, r := range list {
		got = append(got, r.Renewal)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("renewals (-want +got):\n%s", diff)
	}
	return list
}

// A10: the newest URLs of a repeat are stored when it is accepted, and outlive a restart.
func TestRenewals(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		first := accept(t, s, signed(t, "job", "1"))
		accept(t, s, sample("plain", "https://h/c.png"))
		accept(t, s, sample("plain", "https://h/c.png"))
		checkRenewals(t, s)
		renewal := func(signature string) event.Renewal {
			return event.Renewal{Event: first.ID, Job: "job", URLs: signed(t, "job", signature).SignedURLs()}
		}
		accept(t, s, signed(t, "job", "2"))
		old := checkRenewals(t, s, renewal("2"))
		s.stop(t)
		s = open(t, place, defaults())
		checkRenewals(t, s, renewal("2"))
		accept(t, s, signed(t, "job", "3"))
		if err := s.DeleteRenewal(t.Context(), old[0]); err != nil {
			t.Fatal(err)
		}
		newest := checkRenewals(t, s, renewal("3"))
		if after, err := s.Renewals(t.Context(), first.ID, 10); err != nil || len(after) != 0 {
			t.Errorf("renewals after the event = %v, error %v, want none", after, err)
		}
		if err := s.DeleteRenewal(t.Context(), newest[0]); err != nil {
			t.Fatal(err)
		}
		checkRenewals(t, s)
		accept(t, s, signed(t, "job", "4"))
		if err := s.Purge(t.Context(), []inbox.Identity{{Job: "job", ID: first.ID}}); err != nil {
			t.Fatal(err)
		}
		checkRenewals(t, s)
	})
}
