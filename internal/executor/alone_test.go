package executor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/executor"
)

// F10: a crash-prone step waits for the steps that run, and others wait for it.
func TestCrashProneStepsRunAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g executor.Gate
		enter := func() {
			t.Helper()
			if err := g.Enter(t.Context()); err != nil {
				t.Error(err)
			}
		}
		enter()
		time.AfterFunc(10*time.Second, g.Leave)
		begun := time.Now()
		open, alone := g.Occupy(t.Context())
		if took := time.Since(begun); !alone || took != 10*time.Second {
			t.Errorf("F10: alone = %t after %s, want true after 10s", alone, took)
		}
		if second, _ := g.Occupy(t.Context()); second != nil {
			t.Error("F10: a second crash-prone step runs, want one at a time")
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Enter(stopped); err == nil {
			t.Error("F10: another step runs beside the crash-prone step, want an error when the receiver stops")
		}
		time.AfterFunc(7*time.Second, open)
		begun = time.Now()
		enter()
		if took := time.Since(begun); took != 7*time.Second {
			t.Errorf("F10: another step began after %s, want 7s", took)
		}
		begun = time.Now()
		open, alone = g.Occupy(t.Context())
		if took := time.Since(begun); alone || took != 30*time.Second {
			t.Errorf("F10: alone = %t after %s beside a long step, want false after 30s", alone, took)
		}
		open()
		enter()
		g.Leave()
		g.Leave()
	})
}
