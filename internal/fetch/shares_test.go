package fetch_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// slowHosts are hosts that send a byte every few milliseconds without end, and a whole file at /quick.
type slowHosts struct {
	client *fetch.Client
	shares *fetch.Shares
	urls   []string
}

func newSlowHosts(t *testing.T, hosts, transfers int) *slowHosts {
	t.Helper()
	s := &slowHosts{client: newClient(t, atHome()), shares: fetch.NewSharesWithin(transfers, 400*time.Millisecond)}
	for range hosts {
		s.urls = append(s.urls, serve(t, func(w http.ResponseWriter, r *http.Request) {
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for r.URL.Path != "/quick" && r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				<-ticker.C
			}
			_, _ = io.WriteString(w, "image")
		}).URL)
	}
	return s
}

// get gets a file of a host.
func (s *slowHosts) get(ctx context.Context, url string) error {
	return s.client.Get(ctx, fetch.Request{URL: url, MaxBytes: 1 << 20, Shares: s.shares}, io.Discard)
}

// getAll gets a file of each host n times at once, until the returned function is called, and counts those that were busy.
func (s *slowHosts) getAll(t *testing.T, n int) (busy *atomic.Int64, stop func()) {
	t.Helper()
	busy = &atomic.Int64{}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range n {
		for _, url := range s.urls {
			group.Go(func() {
				if isBusy(s.get(ctx, url)) {
					busy.Add(1)
				}
			})
		}
	}
	return busy, func() { cancel(); group.Wait() }
}

func isBusy(err error) bool {
	failed, ok := errors.AsType[*fetch.Error](err)
	return ok && failed.Kind == fetch.KindBusy
}

func TestShares(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		transfers     int // of the handler
		hosts, each   int // slow hosts, and transfers from each
		slow, yielded int // transfers that go on, and those that give way
	}{
		{name: "B10 eight slow hosts leave a slot for a good one", transfers: 8, hosts: 8, each: 1, slow: 5, yielded: 3},
		{name: "B10 one slow host leaves a slot for another slow one", transfers: 8, hosts: 1, each: 8, slow: 4, yielded: 4},
		{name: "B10 few slow transfers go on", transfers: 8, hosts: 4, each: 1, slow: 4},
		{name: "B10 two transfers, two slow hosts", transfers: 2, hosts: 2, each: 1, slow: 1, yielded: 1},
		{name: "B10 one transfer", transfers: 1, hosts: 1, each: 1, slow: 1},
		{name: "B10 one at a time, one slow host", transfers: 0, hosts: 1, each: 1, slow: 1},
		{name: "B10 one at a time, three slow hosts", transfers: 0, hosts: 3, each: 1, slow: 1, yielded: 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			hosts := newSlowHosts(t, row.hosts, row.transfers)
			busy, stop := hosts.getAll(t, row.each)
			defer stop()
			type counts struct{ slow, yielded int }
			testkit.Eventually(t, "slow transfers", counts{row.slow, row.yielded}, func() counts { return counts{hosts.shares.Slow(), int(busy.Load())} })
			good := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "image") })
			if err := hosts.get(t.Context(), good.URL); err != nil {
				t.Errorf("good host: error %v, want none", err)
			}
			stop()
			if got := hosts.shares.Slow(); got != 0 {
				t.Errorf("slow transfers at the end = %d, want 0", got)
			}
		})
	}
}

func TestSharesOfAKnownHost(t *testing.T) {
	t.Parallel()
	hosts := newSlowHosts(t, 1, 8) // four slow transfers at most
	busy, stop := hosts.getAll(t, 5)
	defer stop()
	testkit.Eventually(t, "transfers that give way", 1, busy.Load)
	again, stopAgain := hosts.getAll(t, 3)
	defer stopAgain()
	testkit.Eventually(t, "B10 transfers from a host that was slow, which give way", 3, again.Load)
	for range 2 {
		if err := hosts.get(t.Context(), hosts.urls[0]+"/quick"); err != nil {
			t.Errorf("B10 quick file of a slow host: error %v, want none", err)
		}
	}
	if got := hosts.shares.Slow(); got != 4 {
		t.Errorf("slow transfers = %d, want 4", got)
	}
}

// Where one file is transferred at a time, the next one begins when the first has ended or is slow, and waits for a minute at most.
func TestSingleShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shares := fetch.NewSingleShares()
		endSlow, err := shares.Begin(t.Context(), "slow.test")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		end, err := shares.Begin(t.Context(), "other.test")
		if waited := time.Since(began); err != nil || waited != 2*time.Second {
			t.Errorf("B10 second transfer: error %v after %s, want none when the first is slow, after 2s", err, waited)
		}
		end()
		began = time.Now()
		end, err = shares.BeginQuick(t.Context(), "quick.test")
		if err != nil || time.Since(began) != 0 {
			t.Errorf("B10 third transfer: error %v after %s, want none at once", err, time.Since(began))
		}
		if _, err := shares.Begin(t.Context(), "late.test"); !isBusy(err) || time.Since(began) != time.Minute {
			t.Errorf("B10 fourth transfer: error %v after %s, want busy after a minute", err, time.Since(began))
		}
		end()
		endSlow()
	})
}

// A transfer beyond the share that is counted later no longer keeps others from showing that their host has recovered.
func TestProbeThatIsCountedLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const host = "slow.test"
		shares := fetch.NewShares(8) // four slow transfers from a host at most
		var ends []func()
		begin := func() {
			end, err := shares.Begin(t.Context(), host)
			if err != nil {
				t.Errorf("Begin() error = %v, want nil", err)
			}
			ends = append(ends, end)
		}
		for range 4 {
			begin()
		}
		<-time.After(time.Minute)
		begin() // beyond the share
		ends[0]()
		<-time.After(time.Minute)
		if got := shares.Slow(); got != 4 {
			t.Errorf("slow transfers = %d, want 4", got)
		}
		begin()
		for _, end := range ends[1:] {
			end()
		}
	})
}
