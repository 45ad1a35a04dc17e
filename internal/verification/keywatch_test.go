package verification_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/verification"
	"github.com/rs/zerolog"
)

// key is an API that refuses the key since a time.
type key struct {
	mutex   sync.Mutex
	refused bool // what Check finds
	since   time.Time
	checks  int
}

func (k *key) KeyRefused() (time.Time, string) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.since, "refused"
}

// set changes what Check finds, and since when a step has found the same; the zero time leaves that.
func (k *key) set(refused bool, since time.Time) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.refused = refused; !since.IsZero() {
		k.since = since
	}
}

func (k *key) checked() int {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.checks
}

func (k *key) Check(context.Context) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.checks++
	switch {
	case !k.refused:
		k.since = time.Time{}
	case k.since.IsZero():
		k.since = time.Now()
	}
	return nil
}

// E6: a refused key is a warning at once and every hour, until it is accepted.
func TestKeyWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, log := &key{}, &testkit.Log{}
		watch := verification.NewKeyWatch(k, zerolog.New(log))
		watch.Start()
		wait := func(d time.Duration, warnings, infos, checks int) {
			t.Helper()
			time.Sleep(d) //nolint:forbidigo // on the bubble's clock
			synctest.Wait()
			if got := len(log.Records(t, "level", "warn")); got != warnings {
				t.Errorf("E6: %d warnings, want %d", got, warnings)
			}
			if got := len(log.Records(t, "level", "info")); got != infos {
				t.Errorf("E6: %d lines that it is accepted again, want %d", got, infos)
			}
			if got := k.checked(); got != checks {
				t.Errorf("E6: %d checks, want %d", got, checks)
			}
		}
		wait(24*time.Hour, 0, 0, 1)
		k.set(true, time.Now()) // by the call of a step
		wait(2*time.Second, 1, 0, 2)
		wait(59*time.Minute, 1, 0, 61)
		wait(2*time.Minute, 2, 0, 63)
		k.set(false, time.Time{})
		wait(time.Minute, 2, 1, 64)
		wait(24*time.Hour, 2, 1, 64)
		if err := watch.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
