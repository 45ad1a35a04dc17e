package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

var stages = [][]string{{"download"}, {"forward"}}

// countJobs counts the jobs of a handler's queue.
func countJobs(t *testing.T, db *database.DB, handler string) (n int) {
	t.Helper()
	if err := db.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM river_job WHERE queue = $1", handler).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func states(t *testing.T, s *workflowtest.Stores, n int) (of event.Status, steps []event.Status) {
	t.Helper()
	h, err := s.History.Load(t.Context(), workflowtest.Entry(n).ID)
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
		s := workflowtest.Open(t, place)
		db := s.DB
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2))
		s.Add(t, workflowtest.Entry(2), workflowtest.Entry(3))
		if n := countJobs(t, db, "download"); n != 3 {
			t.Errorf("%d jobs, want 3", n)
		}
		if n := countJobs(t, db, "forward"); n != 0 {
			t.Errorf("%d jobs of a step that waits, want none", n)
		}
		if n, err := s.Workflow.Pending(t.Context(), "download", 2); err != nil || n != 2 {
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
		result   workflow.Result
		event    event.Status
		steps    []event.Status
		next     int  // jobs of the next handler
		finished bool // no further attempt
		tries    int  // of the next attempt, which counts itself
	}{
		{"done releases the next", workflow.Result{State: event.Done}, event.Pending, []event.Status{event.Done, event.Pending}, 1, true, 0},
		{"skipped too", workflow.Result{State: event.Skipped}, event.Pending, []event.Status{event.Skipped, event.Pending}, 1, true, 0},
		{"dead stops", workflow.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"}, event.Dead, []event.Status{event.Dead, event.Waiting}, 0, true, 0},
		{"retrying", workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()}, event.Retrying, []event.Status{event.Retrying, event.Waiting}, 0, false, 2},
		{"interrupted", workflow.Result{State: event.Pending}, event.Pending, []event.Status{event.Pending, event.Waiting}, 0, false, 1},
		{"held", workflow.Result{State: event.Retrying, Action: event.ActionHold, NextAt: time.Now()}, event.Retrying, []event.Status{event.Retrying, event.Waiting}, 0, false, 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				db := s.DB
				s.Add(t, workflowtest.Entry(1))
				attempt := s.Begin(t, 1, "download")
				if of, steps := states(t, s, 1); of != event.Running || steps[0] != event.Running {
					t.Errorf("while running: event %s, steps %v", of, steps)
				}
				s.Finish(t, attempt, row.result)
				if of, steps := states(t, s, 1); of != row.event || !reflect.DeepEqual(steps, row.steps) {
					t.Errorf("event %s, steps %v", of, steps)
				}
				if n := countJobs(t, db, "forward"); n != row.next {
					t.Errorf("%d jobs of the next handler, want %d", n, row.next)
				}
				again, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(1).ID, Handler: "download"})
				if errors.Is(err, workflow.ErrFinished) != row.finished {
					t.Errorf("another attempt: %v", err)
				}
				if !row.finished && (again.Tries != row.tries || again.Number != 2) {
					t.Errorf("tries = %d, number = %d, want %d, 2", again.Tries, again.Number, row.tries)
				}
			})
		})
	}
}

// A step that comes back too early, as after a crash, is put off and loses no try.
func TestNotBeforeItsTime(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{State: event.Retrying, NextAt: time.Now().Add(time.Hour)})
		_, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(1).ID, Handler: "download"})
		early, ok := errors.AsType[*workflow.NotYetError](err)
		if !ok || early.After < 59*time.Minute || early.After > time.Hour {
			t.Errorf("got %v", err)
		}
		if h, err := s.History.Load(t.Context(), workflowtest.Entry(1).ID); err != nil || h.Steps[0].Tries != 1 || h.Steps[0].State != event.Retrying {
			t.Errorf("got %+v, error %v", h, err)
		}
	})
}

func TestLastStepEndsTheEvent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{State: event.Done})
		s.Finish(t, s.Begin(t, 1, "forward"), workflow.Result{State: event.Skipped})
		if of, steps := states(t, s, 1); of != event.Done {
			t.Errorf("event %s, steps %v", of, steps)
		}
		if counts, err := s.History.Counts(t.Context()); err != nil || counts[event.Done] != 1 {
			t.Errorf("counts %v, error %v", counts, err)
		}
	})
}

func TestStaleOutcomeIsRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		s.Add(t, workflowtest.Entry(1))
		slow := s.Begin(t, 1, "download")
		quick := s.Begin(t, 1, "download") // the slow one counted as lost and was handed out again
		for name, result := range map[string]workflow.Result{"done": {State: event.Done}, "dead": {State: event.Dead}} {
			if _, err := s.Workflow.Finish(t.Context(), slow, result); !errors.Is(err, workflow.ErrStale) {
				t.Errorf("stale %s: %v", name, err)
			}
		}
		s.Finish(t, quick, workflow.Result{State: event.Done})
		if _, err := s.Workflow.Finish(t.Context(), quick, workflow.Result{State: event.Dead}); !errors.Is(err, workflow.ErrStale) {
			t.Errorf("after it was done: %v", err)
		}
		if n := countJobs(t, db, "forward"); n != 1 {
			t.Errorf("the next step was released %d times", n)
		}
	})
}

func TestArtifactsComeBack(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		want := event.Artifact{Handler: "download", Index: 0, Source: "https://a/1.png", Key: "k", URL: "file:///k", Bytes: 5, SHA256: "ab", MediaType: "image/png", Width: 2, Height: 3, Stored: time.UnixMicro(1_700_000_000_000_001).UTC()}
		s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{State: event.Retrying, Artifacts: []event.Artifact{want}, NextAt: time.Now()})
		again := s.Begin(t, 1, "download")
		if len(again.Artifacts) != 1 || again.Artifacts[0] != want {
			t.Errorf("got %+v", again.Artifacts)
		}
		want.Key = "k2"
		s.Finish(t, again, workflow.Result{State: event.Done, Artifacts: []event.Artifact{want}})
		h, err := s.History.Load(t.Context(), workflowtest.Entry(1).ID)
		if err != nil || len(h.Artifacts) != 1 || h.Artifacts[0] != want {
			t.Errorf("got %+v, error %v", h.Artifacts, err)
		}
		if runs := h.Steps[0].Attempts; len(runs) != 2 || runs[0].Outcome != event.Retrying || runs[1].Outcome != event.Done || runs[1].Finished.IsZero() {
			t.Errorf("history %+v", runs)
		}
	})
}

func TestListPages(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		for n := range 7 {
			s.Add(t, workflowtest.Entry(n))
		}
		var got []event.ID
		var before event.ID
		for {
			page, err := s.History.List(t.Context(), before, 3)
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
		if len(got) != 7 || got[0] != workflowtest.Entry(6).ID || got[6] != workflowtest.Entry(0).ID {
			t.Errorf("got %v", got)
		}
		if _, err := s.History.Load(t.Context(), "none"); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("unknown event: %v", err)
		}
		if _, err := s.Workflow.Begin(t.Context(), queue.Job{Event: "none", Handler: "download"}); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("unknown step: %v", err)
		}
	})
}

// A full disk fails the transaction as a whole; the store works again when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := workflowtest.Open(t, databasetest.NewPlace(t, database.SQLite))
	db := s.DB
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
	var many []workflow.InboxEntry
	for n := range events {
		many = append(many, workflowtest.Entry(n))
	}
	if _, err := s.Workflow.Add(t.Context(), workflowtest.Take(many...), stages); !database.IsFull(err) {
		t.Fatalf("Add on a full disk: error = %v, want database.IsFull", err)
	}
	limit(1 << 30)
	if n, err := s.Workflow.Pending(context.Background(), "download", 1000); err != nil || n != 0 {
		t.Errorf("Pending after a failed transaction = %d, error %v; want 0, nil", n, err)
	}
	s.Add(t, many...)
	if n := countJobs(t, db, "download"); n != events {
		t.Errorf("jobs = %d, want %d", n, events)
	}
}
