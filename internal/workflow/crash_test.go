package workflow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// TestCrashes crashes the process again and again during one step.
func TestCrashes(t *testing.T) {
	t.Parallel()
	const crashes = 40
	rows := []struct {
		name  string
		alone bool // when it runs as a crash-prone step
		lives bool // the process lives through the pause of the crash-prone step
		tries int  // counted attempts at the end
	}{
		{name: "F10 crashes beside others", lives: true, tries: 1},
		{name: "F10 the process is killed all the time", alone: true, tries: 1},
		{name: "F10 crashes alone", alone: true, lives: true, tries: 1 + (crashes - 3)},
	}
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		for n, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				s.Add(t, workflowtest.Entry(n+1))
				job := queue.Job{Event: workflowtest.Entry(n + 1).ID, Handler: "download"}
				process := workflow.New(s.Writer, nil, nil)
				attempt, err := process.Begin(t.Context(), job)
				for crash := range crashes {
					if err != nil || attempt.Tries > 1+crash {
						t.Fatalf("attempt = %+v after %d crashes, error %v; want one", attempt, crash, err)
					}
					process = workflow.New(s.Writer, nil, nil) // the one before has crashed
					if attempt, err = process.Begin(t.Context(), job); err == nil {
						continue
					}
					early, ok := errors.AsType[*workflow.NotYetError](err)
					if !ok || early.After < 15*time.Second || early.After > time.Hour {
						t.Fatalf("after %d crashes: error = %v, want a pause of 15 s to an hour", crash+1, err)
					}
					exec(t, s, "UPDATE steps SET next_at = 0 WHERE event_id = $1 AND next_at IS NOT NULL", string(job.Event))
					if !row.lives {
						process = workflow.New(s.Writer, nil, nil)
					}
					if _, err = process.Begin(t.Context(), job); !errors.Is(err, workflow.ErrCrashProne) {
						t.Fatalf("after %d crashes: error = %v, want %v", crash+1, err, workflow.ErrCrashProne)
					}
					attempt, err = process.BeginAlone(t.Context(), job, row.alone)
				}
				if err != nil || attempt.Tries != row.tries {
					t.Errorf("attempt = %+v, error %v; want %d tries", attempt, err, row.tries)
				}
				if _, err := process.Finish(t.Context(), attempt, workflow.Result{State: event.Dead}); err != nil {
					t.Errorf("Finish: %v", err)
				}
			})
		}
	})
}

// F10: an attempt that ended, but could not be recorded, is no crash and free.
func TestUnrecordedAttempts(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1))
		for n := range 30 {
			if attempt := s.Begin(t, 1, "download"); attempt.Tries != 1 || attempt.Number != n+1 {
				t.Fatalf("attempt = %+v, want number %d and 1 try", attempt, n+1)
			}
		}
	})
}
