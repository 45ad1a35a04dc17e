package workflow_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// gone is the result of an attempt at a target that answers 410.
func gone() workflow.Result {
	return workflow.Result{State: event.Retrying, Action: event.ActionDisable, Reason: event.ReasonOther, Detail: "410", NextAt: time.Now()}
}

// blocked is the result of an attempt whose outage concerns the step alone.
func blocked(host string) workflow.Result {
	return workflow.Result{
		State: event.Retrying, Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonHostNotAllowed, Detail: "not allowed",
		Host: host, NextAt: time.Now().Add(time.Hour),
	}
}

// passHour moves the probes of all targets an hour back, and a second more, by which a clock may be corrected.
func passHour(t *testing.T, s *workflowtest.Stores) {
	t.Helper()
	const hour, second = int64(time.Hour / time.Microsecond), int64(time.Second / time.Microsecond)
	if _, err := s.DB.Writer.ExecContext(t.Context(), "UPDATE targets SET probe_at = probe_at - $1, probe_until = probe_until - $2", hour+second, hour); err != nil {
		t.Fatal(err)
	}
}

// checkDisabled compares whether download is disabled.
func checkDisabled(t *testing.T, s *workflowtest.Stores, want bool) {
	t.Helper()
	targets, err := s.Workflow.Targets(t.Context())
	if got := err == nil && len(targets) > 0 && !targets[0].Disabled.IsZero(); err != nil || got != want {
		t.Errorf("disabled = %t, error %v, want %t: %+v", got, err, want, targets)
	}
}

// begins reports whether the download of event n begins.
func begins(t *testing.T, s *workflowtest.Stores, n int) bool {
	t.Helper()
	_, err := s.Workflow.Begin(t.Context(), queue.Job{Event: workflowtest.Entry(n).ID, Handler: "download"})
	if err != nil && !errors.Is(err, workflow.ErrDeferred) && !errors.Is(err, workflow.ErrFinished) {
		t.Fatal(err)
	}
	return err == nil
}

func TestProbes(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		t.Run("E2 a target that answers 410 is probed each hour and enabled by success", func(t *testing.T) {
			s := workflowtest.Open(t, place)
			s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2), workflowtest.Entry(3))
			s.Finish(t, s.Begin(t, 1, "download"), gone())
			if begins(t, s, 2) || begins(t, s, 3) {
				t.Error("a step begins before the hour is over, want it deferred")
			}
			resume(t, s, "download", true, 100, 0)
			passHour(t, s)
			resume(t, s, "download", false, 100, 1)
			resume(t, s, "download", false, 100, 0) // one waits for a worker already
			probe := s.Begin(t, 1, "download")
			s.Add(t, workflowtest.Entry(4))
			if !probe.Probe || begins(t, s, 4) {
				t.Errorf("attempt = %+v, want a probe, and no second one", probe)
			}
			s.Finish(t, probe, gone())
			checkDisabled(t, s, true)
			passHour(t, s)
			s.Add(t, workflowtest.Entry(5))
			s.Finish(t, s.Begin(t, 5, "download"), workflow.Result{State: event.Done}) // a new event can be the probe
			checkDisabled(t, s, false)
			resume(t, s, "download", true, 100, 4)
		})
	})
}

func TestProbesEnd(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		disable bool // a person disables the target too
		want    int  // probes
	}{
		{name: "E2 the probes end after a day", want: 24},
		{name: "E2 a target that a person disabled is not probed", disable: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				s.Add(t, workflowtest.Entry(1))
				s.Finish(t, s.Begin(t, 1, "download"), gone())
				if row.disable {
					if err := s.Workflow.Disable(t.Context(), "download", event.ReasonOther, "by hand"); err != nil {
						t.Fatal(err)
					}
				}
				probes := 0
				for range 40 {
					passHour(t, s)
					n, err := s.Workflow.Resume(t.Context(), "download", false, 100)
					if err != nil {
						t.Fatal(err)
					}
					if probes += n; n > 0 {
						s.Finish(t, s.Begin(t, 1, "download"), gone())
					}
				}
				if probes < row.want-1 || probes > row.want {
					t.Errorf("probes = %d, want about %d", probes, row.want)
				}
				checkDisabled(t, s, true)
			})
		})
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	type prepare func(t *testing.T, s *workflowtest.Stores)
	deferred := func(t *testing.T, s *workflowtest.Stores) {
		t.Helper()
		s.Finish(t, s.Begin(t, 1, "download"), gone())
	}
	for _, row := range []struct {
		name    string
		prepare prepare
		open    bool
		want    string // states of the event and its steps
		steps   int
	}{
		{name: "E2 deferred steps of a disabled target", prepare: deferred, want: "pending skipped pending skipped", steps: 1},
		{name: "steps whose outage concerns them alone", prepare: func(t *testing.T, s *workflowtest.Stores) {
			t.Helper()
			s.Finish(t, s.Begin(t, 1, "download"), blocked("a.example"))
		}, want: "pending skipped pending skipped", steps: 1},
		{name: "a step that is only retried stays", prepare: func(t *testing.T, s *workflowtest.Stores) {
			t.Helper()
			s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()})
		}, want: "retrying retrying waiting waiting"},
		{name: "a pending step of a configured handler stays", prepare: func(*testing.T, *workflowtest.Stores) {}, want: "pending pending waiting waiting"},
		{name: "E4 a pending step of a removed handler", open: true, prepare: func(*testing.T, *workflowtest.Stores) {}, want: "pending skipped pending skipped", steps: 1},
		{name: "E4 a running step of a removed handler", open: true, prepare: func(t *testing.T, s *workflowtest.Stores) {
			t.Helper()
			s.Begin(t, 1, "download")
		}, want: "pending skipped pending skipped", steps: 1},
		{name: "E4 a retrying step of a removed handler", open: true, prepare: func(t *testing.T, s *workflowtest.Stores) {
			t.Helper()
			s.Finish(t, s.Begin(t, 1, "download"), workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()})
		}, want: "pending skipped pending skipped", steps: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				s.AddStages(t, [][]string{{"download"}, {"forward"}, {event.DeleteStep}}, workflowtest.Entry(1))
				row.prepare(t, s)
				drop := workflow.Drop{Handler: "download", Open: row.open, By: "anna from 192.0.2.1"}
				steps, err := s.Workflow.Drop(t.Context(), drop)
				if err != nil || steps != row.steps {
					t.Errorf("Drop = %d, error %v, want %d", steps, err, row.steps)
				}
				checkStates(t, s, 1, row.want)
				detail := step(t, s, 1).Detail
				if got := strings.Contains(detail, drop.By) && strings.Contains(detail, time.Now().UTC().Format("2006-01-")); got != (row.steps > 0) {
					t.Errorf("detail = %q, want who gave the step up and when: %t", detail, row.steps > 0)
				}
				if again, err := s.Workflow.Drop(t.Context(), drop); err != nil || again != 0 {
					t.Errorf("second Drop = %d, error %v, want 0", again, err)
				}
			})
		})
	}
}

// Kept steps stay until their handler is configured again.
func TestKeep(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		for _, by := range []string{"anna", "berta"} {
			if err := s.Workflow.Keep(t.Context(), "forward-old", by); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := s.Workflow.Kept(t.Context()); err != nil || len(kept) != 1 || kept["forward-old"].By != "anna" || kept["forward-old"].At.IsZero() {
			t.Errorf("Kept = %v, error %v, want forward-old by anna", kept, err)
		}
		for _, row := range []struct {
			configured []string
			want       int
		}{{configured: []string{"download"}, want: 1}, {configured: []string{"download", "forward-old"}}} {
			if err := s.Workflow.Configure(t.Context(), row.configured); err != nil {
				t.Fatal(err)
			}
			if kept, err := s.Workflow.Kept(t.Context()); err != nil || len(kept) != row.want {
				t.Errorf("Kept with %v configured = %v, error %v, want %d", row.configured, kept, err, row.want)
			}
		}
	})
}

// Steps that wait with their own queue job count as deferred, with the hosts that are not allowed.
func TestStepsThatWaitAlone(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		s.Add(t, workflowtest.Entry(1), workflowtest.Entry(2), workflowtest.Entry(3), workflowtest.Entry(4))
		for n, host := range []string{"a.example", "b.example", "b.example"} {
			s.Finish(t, s.Begin(t, n+1, "download"), blocked(host))
		}
		s.Finish(t, s.Begin(t, 4, "download"), deferredFor(time.Minute))
		targets, err := s.Workflow.Targets(t.Context())
		if err != nil || len(targets) != 1 || targets[0].Deferred != 4 || targets[0].Alone != 3 || targets[0].NextAt.IsZero() {
			t.Fatalf("targets = %+v, error %v, want download with 4 deferred steps, 3 of them alone", targets, err)
		}
		want := []workflow.BlockedHost{{Host: "b.example", Steps: 2}, {Host: "a.example", Steps: 1}}
		if got := targets[0].Hosts; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("B9 hosts = %+v, want %+v", got, want)
		}
		counts, err := s.History.StepCounts(t.Context())
		if err != nil || counts["download"].Deferred != 4 || counts["download"].Retrying != 4 {
			t.Errorf("counts = %+v, error %v, want 4 retrying, 4 deferred", counts["download"], err)
		}
	})
}
