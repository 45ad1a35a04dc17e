package deepimage_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

func TestPaceBoundsCallsAtTheSameTime(t *testing.T) {
	t.Parallel()
	pace := deepimage.NewPace(2, 1000)
	reached, release, ended := make(chan struct{}), make(chan struct{}), make(chan *deepimage.Error)
	for range 2 {
		go func() {
			ended <- pace.Do(t.Context(), func() *deepimage.Error { reached <- struct{}{}; <-release; return nil })
		}()
	}
	<-reached
	<-reached
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	called := false
	if failed := pace.Do(gone, func() *deepimage.Error { called = true; return nil }); failed == nil || failed.Kind != deepimage.KindCancelled || called {
		t.Errorf("a third call: %v", failed)
	}
	close(release)
	for range 2 {
		if failed := <-ended; failed != nil {
			t.Error(failed)
		}
	}
	if failed := pace.Do(t.Context(), func() *deepimage.Error { called = true; return nil }); failed != nil || !called {
		t.Errorf("a call after them: %v", failed)
	}
}

func TestPaceBoundsCallsInASecond(t *testing.T) {
	t.Parallel()
	pace := deepimage.NewPace(2, 0.001)
	done := func() *deepimage.Error { return nil }
	if failed := pace.Do(t.Context(), done); failed != nil {
		t.Error(failed)
	}
	if failed := pace.Do(t.Context(), done); failed == nil || failed.Kind != deepimage.KindLimited || failed.After < 900*time.Second {
		t.Errorf("%+v", failed)
	}
	slow := deepimage.NewPace(2, 0.2)
	if failed := slow.Do(t.Context(), done); failed != nil {
		t.Error(failed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if failed := slow.Do(ctx, done); failed == nil || failed.Kind != deepimage.KindUnavailable {
		t.Errorf("%+v", failed)
	}
}

// fail has a call fail as often as given, and gives how long the pause is.
func fail(pause *deepimage.Pause, times int, failed *deepimage.Error, now time.Time) time.Duration {
	for range times {
		round, _ := pause.Begin(now)
		pause.Learn(round, failed, now)
	}
	if _, refusal := pause.Begin(now); refusal != nil {
		return refusal.After
	}
	return 0
}

func TestPauses(t *testing.T) {
	t.Parallel()
	const most = deepimage.Patience
	of := func(kind deepimage.Kind) *deepimage.Error { return &deepimage.Error{Kind: kind, Text: "x"} }
	for name, row := range map[string]struct {
		failed *deepimage.Error
		times  int
		want   time.Duration
	}{
		"success":        {nil, 100, 0},
		"flaps":          {of(deepimage.KindUnavailable), most - 1, 0},
		"outage":         {of(deepimage.KindUnavailable), most, deepimage.FirstPause},
		"limit":          {of(deepimage.KindLimited), 1, deepimage.FirstPause},
		"limit for long": {&deepimage.Error{Kind: deepimage.KindLimited, After: time.Minute}, 1, time.Minute},
		"limit for ever": {&deepimage.Error{Kind: deepimage.KindLimited, After: 24 * time.Hour}, 1, deepimage.MaxLimitPause},
		"key":            {of(deepimage.KindKey), 1, deepimage.KeyPause},
		"cancelled":      {of(deepimage.KindCancelled), 100, 0},
		"slots":          {of(deepimage.KindSlots), 100, 0},
		"refused":        {of(deepimage.KindRefused), 100, 0},
		"one job":        {of(deepimage.KindJob), 100, 0},
		"outcome":        {of(deepimage.KindOutcome), most, deepimage.FirstPause},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			var pause deepimage.Pause
			if got := fail(&pause, row.times, row.failed, now); got != row.want {
				t.Errorf("a pause of %v, want %v", got, row.want)
			}
			if _, refusal := pause.Begin(now.Add(row.want)); refusal != nil {
				t.Errorf("it does not end: %+v", refusal)
			}
		})
	}
}

func TestPausesGrowAndEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	outage := &deepimage.Error{Kind: deepimage.KindUnavailable, Text: "away"}
	var pause deepimage.Pause
	got := fail(&pause, deepimage.Patience, outage, now)
	for want := deepimage.FirstPause; want < deepimage.LongestPause; want *= 2 {
		if got != want {
			t.Errorf("a pause of %v, want %v", got, want)
		}
		now = now.Add(got)
		got = fail(&pause, 1, outage, now)
	}
	for range 100 {
		if got != deepimage.LongestPause {
			t.Fatalf("a pause of %v", got)
		}
		now = now.Add(got)
		got = fail(&pause, 1, outage, now)
	}
	now = now.Add(got)
	old, _ := pause.Begin(now)
	fail(&pause, 1, outage, now)
	pause.Learn(old, nil, now)    // begun before that pause
	pause.Learn(old, outage, now) // the same
	if _, refusal := pause.Begin(now); refusal == nil || refusal.After != deepimage.LongestPause || refusal.Text != "away" {
		t.Errorf("%+v", refusal)
	}
	now = now.Add(deepimage.LongestPause)
	if got := fail(&pause, 1, nil, now); got != 0 {
		t.Errorf("a pause of %v after a success", got)
	}
	if got := fail(&pause, deepimage.Patience-1, outage, now); got != 0 {
		t.Errorf("a pause of %v: the success was forgotten", got)
	}
}

// TestAnotherRequestsOutcomeIsNotOurs refuses, during a pause, what was never sent.
func TestAnotherRequestsOutcomeIsNotOurs(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	if err := vendor.Disturb(fakevendor.Trouble{Kind: fakevendor.Swallow, Call: fakevendor.CallProcess}); err != nil {
		t.Fatal(err)
	}
	for n := range deepimage.Patience + 1 {
		want := deepimage.KindOutcome
		if n == deepimage.Patience {
			want = deepimage.KindUnavailable
		}
		if _, err := client.Submit(t.Context(), []byte(`{}`)); deepimage.KindOf(err) != want {
			t.Errorf("submission %d: %v", n, err)
		}
	}
	if calls := vendor.Calls(fakevendor.CallProcess); calls != deepimage.Patience {
		t.Errorf("%d submissions", calls)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	now := time.Now()
	quota := deepimage.NewQuota(2)
	addr := netip.MustParseAddr
	charge := func(text string) { quota.Charge(addr(text), now) }
	charge("192.0.2.1")
	charge("::ffff:192.0.2.1")
	charge("2001:db8::1")
	charge("2001:db8:0:0:ffff::1")
	charge("198.51.100.1")
	for text, want := range map[string]bool{
		"192.0.2.1": false, "::ffff:192.0.2.1": false, "192.0.2.2": true, "198.51.100.1": true,
		"2001:db8::2": false, "2001:db8::2%eth0": false, "2001:db8:0:1::2": true, "::1": true,
	} {
		refusal := quota.Admit(addr(text), now)
		if (refusal == nil) != want || refusal != nil && (refusal.After <= 0 || refusal.After > 31*time.Second) {
			t.Errorf("%s: %+v", text, refusal)
		}
	}
	if refusal := quota.Admit(addr("192.0.2.1"), now.Add(31*time.Second)); refusal != nil {
		t.Errorf("half a minute later: %+v", refusal)
	}
	for range 100 {
		quota.Charge(netip.Addr{}, now)
	}
	if refusal := quota.Admit(netip.Addr{}, now); refusal != nil || quota.Sources() != 3 {
		t.Errorf("%+v, %d sources", refusal, quota.Sources())
	}
	for n := range 2 * deepimage.MaxSources {
		quota.Charge(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), now)
	}
	if quota.Sources() != deepimage.MaxSources {
		t.Errorf("%d sources are remembered", quota.Sources())
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cache := deepimage.NewCache(deepimage.Config{CacheTime: time.Minute, PendingCacheTime: time.Second})
	for _, state := range []deepimage.State{deepimage.Complete, deepimage.Failed, deepimage.Deleted, deepimage.Unknown, deepimage.Pending} {
		verdict := deepimage.Verdict{Job: string(state), State: state, Asked: now}
		cache.Put(verdict)
		keeps := time.Minute
		if state == deepimage.Pending {
			keeps = time.Second
		}
		if got, found := cache.Get(verdict.Job, now.Add(keeps-1)); !found || got != verdict {
			t.Errorf("%s: %+v, %t", state, got, found)
		}
		if got, found := cache.Get(verdict.Job, now.Add(keeps)); found {
			t.Errorf("%s: %+v is old", state, got)
		}
	}
	late := deepimage.Verdict{Job: "job", State: deepimage.Deleted, Asked: now.Add(1)}
	cache.Put(late)
	cache.Put(deepimage.Verdict{Job: "job", State: deepimage.Complete, Asked: now})
	if got, _ := cache.Get("job", now); got != late {
		t.Errorf("an older verdict took the place: %+v", got)
	}
}

func TestLRU(t *testing.T) {
	t.Parallel()
	lru := deepimage.NewLRU(3)
	for n := range 3 {
		lru.Put(n, fmt.Sprint(n))
	}
	lru.Get(0)
	lru.Put(1, "one")
	lru.Put(3, "3") // 2 was not used for the longest time
	lru.Put(4, "4") // 0
	for key, want := range map[int]string{0: "", 1: "one", 2: "", 3: "3", 4: "4"} {
		if got, found := lru.Get(key); got != want || found != (want != "") {
			t.Errorf("%d: %q, %t", key, got, found)
		}
	}
	if lru.Len() != 3 {
		t.Errorf("%d are remembered", lru.Len())
	}
}
