package deepimage_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

func TestThrottleBoundsConcurrency(t *testing.T) {
	t.Parallel()
	throttle := deepimage.NewThrottle(2, 1000)
	reached, release, ended := make(chan struct{}), make(chan struct{}), make(chan *deepimage.Error)
	for range 2 {
		go func() {
			ended <- throttle.Do(t.Context(), func() *deepimage.Error { reached <- struct{}{}; <-release; return nil })
		}()
	}
	<-reached
	<-reached
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	called := false
	if failed := throttle.Do(gone, func() *deepimage.Error { called = true; return nil }); failed == nil || failed.Kind != deepimage.KindCancelled || called {
		t.Errorf("third call = %v, want an error of kind %s and no call", failed, deepimage.KindCancelled)
	}
	close(release)
	for range 2 {
		if failed := <-ended; failed != nil {
			t.Error(failed)
		}
	}
	if failed := throttle.Do(t.Context(), func() *deepimage.Error { called = true; return nil }); failed != nil || !called {
		t.Errorf("call after them = %v, want no error", failed)
	}
}

func TestThrottleBoundsRate(t *testing.T) {
	t.Parallel()
	throttle := deepimage.NewThrottle(2, 0.001)
	done := func() *deepimage.Error { return nil }
	if failed := throttle.Do(t.Context(), done); failed != nil {
		t.Error(failed)
	}
	if failed := throttle.Do(t.Context(), done); failed == nil || failed.Kind != deepimage.KindLimited || failed.After < 900*time.Second {
		t.Errorf("second call = %+v, want kind %s after at least 15m", failed, deepimage.KindLimited)
	}
	slow := deepimage.NewThrottle(2, 0.2)
	if failed := slow.Do(t.Context(), done); failed != nil {
		t.Error(failed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if failed := slow.Do(ctx, done); failed == nil || failed.Kind != deepimage.KindUnavailable {
		t.Errorf("call beyond its deadline = %+v, want kind %s", failed, deepimage.KindUnavailable)
	}
}

// fail records the outcome so many times and returns the length of the pause.
func fail(pause *deepimage.Pause, times int, failed *deepimage.Error, now time.Time) time.Duration {
	for range times {
		generation, _ := pause.Begin(now)
		pause.Record(generation, failed, now)
	}
	if _, failed := pause.Begin(now); failed != nil {
		return failed.After
	}
	return 0
}

func TestPauses(t *testing.T) {
	t.Parallel()
	const most = deepimage.FailureThreshold
	of := func(kind deepimage.Kind) *deepimage.Error { return &deepimage.Error{Kind: kind, Text: "x"} }
	for name, row := range map[string]struct {
		failed *deepimage.Error
		times  int
		want   time.Duration
	}{
		"success":        {times: 100},
		"flaps":          {failed: of(deepimage.KindUnavailable), times: most - 1},
		"outage":         {failed: of(deepimage.KindUnavailable), times: most, want: deepimage.FirstPause},
		"limit":          {failed: of(deepimage.KindLimited), times: 1, want: deepimage.FirstPause},
		"limit for long": {failed: &deepimage.Error{Kind: deepimage.KindLimited, After: time.Minute}, times: 1, want: time.Minute},
		"limit for ever": {failed: &deepimage.Error{Kind: deepimage.KindLimited, After: 24 * time.Hour}, times: 1, want: deepimage.MaxLimitPause},
		"key":            {failed: of(deepimage.KindKey), times: 1, want: deepimage.KeyPause},
		"cancelled":      {failed: of(deepimage.KindCancelled), times: 100},
		"slots":          {failed: of(deepimage.KindSlots), times: 100},
		"refused":        {failed: of(deepimage.KindRefused), times: 100},
		"one job":        {failed: of(deepimage.KindJob), times: 100},
		"outcome":        {failed: of(deepimage.KindOutcome), times: most, want: deepimage.FirstPause},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			var pause deepimage.Pause
			if got := fail(&pause, row.times, row.failed, now); got != row.want {
				t.Errorf("pause = %v, want %v", got, row.want)
			}
			if _, failed := pause.Begin(now.Add(row.want)); failed != nil {
				t.Errorf("after the pause = %+v, want no error", failed)
			}
		})
	}
}

func TestPausesGrowAndEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	outage := &deepimage.Error{Kind: deepimage.KindUnavailable, Text: "away"}
	var pause deepimage.Pause
	got := fail(&pause, deepimage.FailureThreshold, outage, now)
	for want := deepimage.FirstPause; want < deepimage.LongestPause; want *= 2 {
		if got != want {
			t.Errorf("pause = %v, want %v", got, want)
		}
		now = now.Add(got)
		got = fail(&pause, 1, outage, now)
	}
	for range 100 {
		if got != deepimage.LongestPause {
			t.Fatalf("pause = %v, want %v", got, deepimage.LongestPause)
		}
		now = now.Add(got)
		got = fail(&pause, 1, outage, now)
	}
	now = now.Add(got)
	old, _ := pause.Begin(now)
	fail(&pause, 1, outage, now)
	pause.Record(old, nil, now)    // begun before that pause
	pause.Record(old, outage, now) // the same
	if _, failed := pause.Begin(now); failed == nil || failed.After != deepimage.LongestPause || failed.Text != outage.Text {
		t.Errorf("during the pause = %+v, want the cause after %v", failed, deepimage.LongestPause)
	}
	now = now.Add(deepimage.LongestPause)
	if got := fail(&pause, 1, nil, now); got != 0 {
		t.Errorf("pause after a success = %v, want 0", got)
	}
	if got := fail(&pause, deepimage.FailureThreshold-1, outage, now); got != 0 {
		t.Errorf("pause after fewer failures than the threshold = %v, want 0", got)
	}
}

// TestOutcomeOfAnotherRequest wants another kind during the pause, because the request is not sent.
func TestOutcomeOfAnotherRequest(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	if err := vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.LoseAnswer, Call: fakevendortest.CallProcess}); err != nil {
		t.Fatal(err)
	}
	for n := range deepimage.FailureThreshold + 1 {
		want := deepimage.KindOutcome
		if n == deepimage.FailureThreshold {
			want = deepimage.KindUnavailable
		}
		if _, err := client.Submit(t.Context(), []byte(`{}`)); deepimage.KindOf(err) != want {
			t.Errorf("submission %d = %v, want kind %s", n, err, want)
		}
	}
	if calls := vendor.Calls(fakevendortest.CallProcess); calls != deepimage.FailureThreshold {
		t.Errorf("submissions = %d, want %d", calls, deepimage.FailureThreshold)
	}
}

func TestSourceLimit(t *testing.T) {
	t.Parallel()
	now, known := time.Now(), netip.MustParseAddr("192.0.2.1")
	limit := deepimage.NewSourceLimit(2)
	for range 2 {
		limit.Charge(known, now)
	}
	for range 100 {
		limit.Charge(netip.Addr{}, now)
	}
	if failed := limit.Check(known, now); failed == nil || failed.Kind != deepimage.KindSource || failed.After <= 0 || failed.After > 31*time.Second {
		t.Errorf("Check() = %+v, want kind %s after at most 31s", failed, deepimage.KindSource)
	}
	if failed := limit.Check(known, now.Add(31*time.Second)); failed != nil {
		t.Errorf("Check() half a minute later = %+v, want no error", failed)
	}
	if failed := limit.Check(netip.Addr{}, now); failed != nil {
		t.Errorf("Check() without a source = %+v, want no error", failed)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cache := deepimage.NewCache(deepimage.Config{CacheTime: time.Minute, PendingCacheTime: time.Second})
	for _, state := range []deepimage.State{deepimage.Complete, deepimage.Failed, deepimage.Deleted, deepimage.Unknown, deepimage.Pending} {
		status := deepimage.JobStatus{Job: string(state), State: state, Asked: now}
		cache.Put(status)
		keeps := time.Minute
		if state == deepimage.Pending || state == deepimage.Unknown {
			keeps = time.Second
		}
		if got, found := cache.Get(status.Job, now.Add(keeps-1)); !found || got != status {
			t.Errorf("%s: Get() = %+v, %t, want %+v", state, got, found, status)
		}
		if got, found := cache.Get(status.Job, now.Add(keeps)); found {
			t.Errorf("%s: Get() after %s = %+v, want nothing", state, keeps, got)
		}
	}
	late := deepimage.JobStatus{Job: "job", State: deepimage.Deleted, Asked: now.Add(1)}
	cache.Put(late)
	cache.Put(deepimage.JobStatus{Job: "job", State: deepimage.Complete, Asked: now})
	if got, _ := cache.Get("job", now); got != late {
		t.Errorf("Get() = %+v, want the later status %+v", got, late)
	}
}
