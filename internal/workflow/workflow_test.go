package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
	"github.com/google/go-cmp/cmp"
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

// checkJobs compares the number of queue jobs that were inserted for a handler.
func checkJobs(t *testing.T, s *workflowtest.Stores, handler string, want int) {
	t.Helper()
	if got := countJobs(t, s.DB, handler); got != want {
		t.Errorf("queue jobs of %s = %d, want %d", handler, got, want)
	}
}

// states returns the state of event n, followed by those of its steps.
func states(t *testing.T, s *workflowtest.Stores, n int) string {
	t.Helper()
	details := s.Load(t, workflowtest.Entry(n).ID)
	text := string(details.Event.State)
	for _, step := range details.Steps {
		text += " " + string(step.State)
	}
	return text
}

// checkStates compares the state of event n, followed by those of its steps.
func checkStates(t *testing.T, s *workflowtest.Stores, n int, want string) {
	t.Helper()
	if got := states(t, s, n); got != want {
		t.Errorf("states of event %d and its steps = %q, want %q", n, got, want)
	}
}

func TestAddTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2))
		s.Add(t, workflowtest.Entry(2), workflowtest.Entry(3))
		checkJobs(t, s, "download", 3)
		checkJobs(t, s, "forward", 0)
		if n, err := s.Workflow.Pending(t.Context(), "download", 2); err != nil || n != 2 {
			t.Errorf("Pending up to 2 = %d, error %v; want 2", n, err)
		}
		checkStates(t, s, 2, "pending pending waiting")
	})
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name     string
		result   workflow.Result
		want     string // states of the event and its steps
		nextJobs int    // queue jobs of the next stage
		finished bool   // no further attempt
		tries    int    // of the next attempt, which counts itself
	}{
		{name: "done starts the next stage", result: workflow.Result{State: event.Done}, want: "pending done pending", nextJobs: 1, finished: true},
		{name: "skipped starts the next stage", result: workflow.Result{State: event.Skipped}, want: "pending skipped pending", nextJobs: 1, finished: true},
		{name: "dead", result: workflow.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"}, want: "dead dead waiting", finished: true},
		{
			name: "retrying", result: workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()},
			want: "retrying retrying waiting", tries: 2,
		},
		{name: "interrupted", result: workflow.Result{State: event.Pending}, want: "pending pending waiting", tries: 1},
		{
			name: "held", result: workflow.Result{State: event.Retrying, Action: event.ActionHold, NextAt: time.Now()},
			want: "retrying retrying waiting", tries: 1,
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				s.Add(t, workflowtest.Entry(1))
				attempt := s.Begin(t, 1, "download")
				checkStates(t, s, 1, "running running waiting")
				s.Finish(t, attempt, row.result)
				checkStates(t, s, 1, row.want)
				checkJobs(t, s, "forward", row.nextJobs)
				again, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(1).ID, Handler: "download"})
				if errors.Is(err, workflow.ErrFinished) != row.finished {
					t.Errorf("another attempt: error = %v, want ErrFinished = %t", err, row.finished)
				}
				if !row.finished && (again.Tries != row.tries || again.Number != 2) {
					t.Errorf("tries = %d, number = %d, want %d, 2", again.Tries, again.Number, row.tries)
				}
			})
		})
	}
}

// A step that is begun before its time, as after a crash, loses no try.
func TestBeginBeforeItsTime(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{State: event.Retrying, NextAt: time.Now().Add(time.Hour)})
		_, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(1).ID, Handler: "download"})
		early, ok := errors.AsType[*workflow.NotYetError](err)
		if !ok || early.After < 59*time.Minute || early.After > time.Hour {
			t.Errorf("error = %v, want a NotYetError of an hour", err)
		}
		if h, err := s.History.Load(t.Context(), workflowtest.Entry(1).ID); err != nil || h.Steps[0].Tries != 1 || h.Steps[0].State != event.Retrying {
			t.Errorf("details = %+v, error %v; want a retrying step with 1 try", h, err)
		}
	})
}

func TestLastStepEndsTheEvent(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{State: event.Done})
		s.Finish(t, s.Begin(t, 1, "forward"), workflow.Result{State: event.Skipped})
		checkStates(t, s, 1, "done done skipped")
		if counts, err := s.History.Counts(t.Context()); err != nil || counts[event.Done] != 1 {
			t.Errorf("counts = %v, error %v; want 1 done", counts, err)
		}
	})
}

func TestStaleOutcomeIsRefused(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		slow := s.Begin(t, 1, "download")
		quick := s.Begin(t, 1, "download") // after the slow one counted as orphaned
		for name, result := range map[string]workflow.Result{"done": {State: event.Done}, "dead": {State: event.Dead}} {
			if _, err := s.Workflow.Finish(t.Context(), slow, result); !errors.Is(err, workflow.ErrStale) {
				t.Errorf("stale %s: error = %v, want ErrStale", name, err)
			}
		}
		s.Finish(t, quick, workflow.Result{State: event.Done})
		if _, err := s.Workflow.Finish(t.Context(), quick, workflow.Result{State: event.Dead}); !errors.Is(err, workflow.ErrStale) {
			t.Errorf("second outcome: error = %v, want ErrStale", err)
		}
		checkJobs(t, s, "forward", 1)
	})
}

func TestArtifactsAreRecorded(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		want := event.Artifact{Handler: "download", Index: 0, Source: "https://a/1.png", Key: "k", URL: "file:///k", Bytes: 5, SHA256: "ab", MediaType: "image/png", Width: 2, Height: 3, Stored: time.UnixMicro(1_700_000_000_000_001).UTC()}
		s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{State: event.Retrying, Artifacts: []event.Artifact{want}, NextAt: time.Now()})
		again := s.Begin(t, 1, "download")
		if diff := cmp.Diff([]event.Artifact{want}, again.Artifacts); diff != "" {
			t.Errorf("artifacts of the next attempt (-want +got):\n%s", diff)
		}
		want.Key = "k2"
		s.Finish(t, again, workflow.Result{State: event.Done, Artifacts: []event.Artifact{want}})
		h, err := s.History.Load(t.Context(), workflowtest.Entry(1).ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]event.Artifact{want}, h.Artifacts); diff != "" {
			t.Errorf("artifacts (-want +got):\n%s", diff)
		}
		if got := h.Steps[0].Attempts; len(got) != 2 || got[0].Outcome != event.Retrying || got[1].Outcome != event.Done || got[1].Finished.IsZero() {
			t.Errorf("attempts = %+v, want one retrying and one done", got)
		}
	})
}

func TestBeginOfUnknownStep(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		if _, err := s.Workflow.Begin(t.Context(), queue.Job{Event: "none", Handler: "download"}); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("Begin of an unknown step: error = %v, want ErrNotFound", err)
		}
	})
}

// A full disk fails the transaction as a whole; the store works again when space is free.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := workflowtest.Open(t, workflowtest.NewPlace(t, database.SQLite))
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
	var many []event.Entry
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
