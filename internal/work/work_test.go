package work_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/work"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

var stages = [][]string{{"download"}, {"forward"}}

func open(t *testing.T, place *databasetest.Place) (*work.Store, *database.DB) {
	t.Helper()
	stores := place.Open(t)
	db := stores.Work
	if _, err := work.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	lanes := []queue.Lane{{Handler: "download", Concurrency: 1}, {Handler: "forward", Concurrency: 1}}
	jobs, err := queue.Open(stores.Queue, queue.Config{Lease: time.Minute}, lanes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := work.Open(db, jobs)
	t.Cleanup(func() { _ = s.Close() })
	return s, db
}

func arrival(n int) work.Arrival {
	return work.Arrival{Sequence: int64(n), ID: event.ID(fmt.Sprintf("event-%03d", n)), Job: fmt.Sprint("job-", n), Received: time.UnixMicro(1_700_000_000_000_000).UTC(), Bytes: 10}
}

func add(t *testing.T, s *work.Store, arrivals ...work.Arrival) {
	t.Helper()
	if err := s.Add(t.Context(), arrivals, stages); err != nil {
		t.Fatal(err)
	}
}

// jobs counts the jobs of a handler's queue.
func jobs(t *testing.T, db *database.DB, handler string) (n int) {
	t.Helper()
	if err := db.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM river_job WHERE queue = $1", handler).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func begin(t *testing.T, s *work.Store, n int, handler string) work.Attempt {
	t.Helper()
	attempt, err := s.Begin(t.Context(), queue.Job{Event: arrival(n).ID, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	return attempt
}

func finish(t *testing.T, s *work.Store, a work.Attempt, r work.Result) {
	t.Helper()
	if _, err := s.Finish(t.Context(), a, r); err != nil {
		t.Fatal(err)
	}
}

func states(t *testing.T, s *work.Store, n int) (of event.Status, steps []event.Status) {
	t.Helper()
	h, err := s.Load(t.Context(), arrival(n).ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range h.Steps {
		steps = append(steps, step.State)
	}
	return h.Event.State, steps
}

func TestAddTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, db := open(t, place)
		add(t, s, arrival(1), arrival(2))
		add(t, s, arrival(2), arrival(3))
		if n := jobs(t, db, "download"); n != 3 {
			t.Errorf("%d jobs, want 3", n)
		}
		if n := jobs(t, db, "forward"); n != 0 {
			t.Errorf("%d jobs of a step that waits, want none", n)
		}
		if n, err := s.Pending(t.Context(), "download", 2); err != nil || n != 2 {
			t.Errorf("%d pending up to 2, error %v", n, err)
		}
		of, steps := states(t, s, 2)
		if of != event.Pending || !reflect.DeepEqual(steps, []event.Status{event.Pending, event.Waiting}) {
			t.Errorf("event %s, steps %v", of, steps)
		}
	})
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name     string
		result   work.Result
		event    event.Status
		steps    []event.Status
		next     int  // jobs of the next handler
		finished bool // no further attempt
	}{
		{"done releases the next", work.Result{State: event.Done}, event.Pending, []event.Status{event.Done, event.Pending}, 1, true},
		{"skipped too", work.Result{State: event.Skipped}, event.Pending, []event.Status{event.Skipped, event.Pending}, 1, true},
		{"dead stops", work.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"}, event.Dead, []event.Status{event.Dead, event.Waiting}, 0, true},
		{"retrying", work.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()}, event.Retrying, []event.Status{event.Retrying, event.Waiting}, 0, false},
		{"interrupted", work.Result{State: event.Pending, Interrupted: true}, event.Pending, []event.Status{event.Pending, event.Waiting}, 0, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s, db := open(t, place)
				add(t, s, arrival(1))
				attempt := begin(t, s, 1, "download")
				if of, steps := states(t, s, 1); of != event.Running || steps[0] != event.Running {
					t.Errorf("while running: event %s, steps %v", of, steps)
				}
				finish(t, s, attempt, row.result)
				if of, steps := states(t, s, 1); of != row.event || !reflect.DeepEqual(steps, row.steps) {
					t.Errorf("event %s, steps %v", of, steps)
				}
				if n := jobs(t, db, "forward"); n != row.next {
					t.Errorf("%d jobs of the next handler, want %d", n, row.next)
				}
				again, err := s.Begin(t.Context(), queue.Job{Event: arrival(1).ID, Handler: "download"})
				if errors.Is(err, work.ErrFinished) != row.finished {
					t.Errorf("another attempt: %v", err)
				}
				if wantTries := 2; !row.finished && !row.result.Interrupted && again.Tries != wantTries {
					t.Errorf("tries %d, want %d", again.Tries, wantTries)
				}
				if row.result.Interrupted && (again.Tries != 1 || again.Number != 2) {
					t.Errorf("an interrupted attempt counts: %+v", again)
				}
			})
		})
	}
}

// A step that comes back too early, as after a crash, is put off and loses no try.
func TestNotBeforeItsTime(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		add(t, s, arrival(1))
		finish(t, s, begin(t, s, 1, "download"), work.Result{State: event.Retrying, NextAt: time.Now().Add(time.Hour)})
		_, err := s.Begin(t.Context(), queue.Job{Event: arrival(1).ID, Handler: "download"})
		early, ok := errors.AsType[*work.NotYetError](err)
		if !ok || early.After < 59*time.Minute || early.After > time.Hour {
			t.Errorf("got %v", err)
		}
		if h, err := s.Load(t.Context(), arrival(1).ID); err != nil || h.Steps[0].Tries != 1 || h.Steps[0].State != event.Retrying {
			t.Errorf("got %+v, error %v", h, err)
		}
	})
}

func TestLastStepEndsTheEvent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		add(t, s, arrival(1))
		finish(t, s, begin(t, s, 1, "download"), work.Result{State: event.Done})
		finish(t, s, begin(t, s, 1, "forward"), work.Result{State: event.Skipped})
		if of, steps := states(t, s, 1); of != event.Done {
			t.Errorf("event %s, steps %v", of, steps)
		}
		if counts, err := s.Counts(t.Context()); err != nil || counts[event.Done] != 1 {
			t.Errorf("counts %v, error %v", counts, err)
		}
	})
}

func TestStaleOutcomeIsRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, db := open(t, place)
		add(t, s, arrival(1))
		slow := begin(t, s, 1, "download")
		quick := begin(t, s, 1, "download") // the slow one counted as lost and was handed out again
		for name, result := range map[string]work.Result{"done": {State: event.Done}, "dead": {State: event.Dead}} {
			if _, err := s.Finish(t.Context(), slow, result); !errors.Is(err, work.ErrStale) {
				t.Errorf("stale %s: %v", name, err)
			}
		}
		finish(t, s, quick, work.Result{State: event.Done})
		if _, err := s.Finish(t.Context(), quick, work.Result{State: event.Dead}); !errors.Is(err, work.ErrStale) {
			t.Errorf("after it was done: %v", err)
		}
		if n := jobs(t, db, "forward"); n != 1 {
			t.Errorf("the next step was released %d times", n)
		}
	})
}

func TestArtifactsComeBack(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		add(t, s, arrival(1))
		want := event.Artifact{Handler: "download", Index: 0, Source: "https://a/1.png", Key: "k", URL: "file:///k", Bytes: 5, SHA256: "ab", MediaType: "image/png", Width: 2, Height: 3, Stored: time.UnixMicro(1_700_000_000_000_001).UTC()}
		finish(t, s, begin(t, s, 1, "download"), work.Result{State: event.Retrying, Artifacts: []event.Artifact{want}, NextAt: time.Now()})
		again := begin(t, s, 1, "download")
		if len(again.Artifacts) != 1 || again.Artifacts[0] != want {
			t.Errorf("got %+v", again.Artifacts)
		}
		want.Key = "k2"
		finish(t, s, again, work.Result{State: event.Done, Artifacts: []event.Artifact{want}})
		h, err := s.Load(t.Context(), arrival(1).ID)
		if err != nil || len(h.Artifacts) != 1 || h.Artifacts[0] != want {
			t.Errorf("got %+v, error %v", h.Artifacts, err)
		}
		if runs := h.Steps[0].History; len(runs) != 2 || runs[0].Outcome != event.Retrying || runs[1].Outcome != event.Done || runs[1].Finished.IsZero() {
			t.Errorf("history %+v", runs)
		}
	})
}

func TestListPages(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s, _ := open(t, place)
		for n := range 7 {
			add(t, s, arrival(n))
		}
		var got []event.ID
		var before event.ID
		for {
			page, err := s.List(t.Context(), before, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got = append(got, e.ID)
				before = e.ID
			}
			if len(page) < 3 {
				break
			}
		}
		if len(got) != 7 || got[0] != arrival(6).ID || got[6] != arrival(0).ID {
			t.Errorf("got %v", got)
		}
		if _, err := s.Load(t.Context(), "none"); !errors.Is(err, work.ErrNotFound) {
			t.Errorf("unknown event: %v", err)
		}
		if _, err := s.Begin(t.Context(), queue.Job{Event: "none", Handler: "download"}); !errors.Is(err, work.ErrNotFound) {
			t.Errorf("unknown step: %v", err)
		}
	})
}

// A full disk fails the transaction as a whole; the store works again when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s, db := open(t, databasetest.NewPlace(t, database.SQLite))
	limit := func(pages int) {
		if _, err := db.Writer.ExecContext(t.Context(), fmt.Sprint("PRAGMA max_page_count = ", pages)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Writer.ExecContext(t.Context(), "VACUUM"); err != nil { // leaves no free page for the events
		t.Fatal(err)
	}
	limit(1)          // SQLite raises it to the size of the file
	const events = 50 // few, so that a write stays within its timeout under the race detector on a busy machine
	var many []work.Arrival
	for n := range events {
		many = append(many, arrival(n))
	}
	if err := s.Add(t.Context(), many, stages); !database.IsFull(err) {
		t.Fatalf("Add on a full disk: error = %v, want database.IsFull", err)
	}
	limit(1 << 30)
	if n, err := s.Pending(context.Background(), "download", 1000); err != nil || n != 0 {
		t.Errorf("Pending after a failed transaction = %d, error %v; want 0, nil", n, err)
	}
	add(t, s, many...)
	if n := jobs(t, db, "download"); n != events {
		t.Errorf("jobs = %d, want %d", n, events)
	}
}
