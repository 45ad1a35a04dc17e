package sourcelimit_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/sourcelimit"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Now()
	limiter := sourcelimit.New(2, 30*time.Second)
	for _, text := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8:0:0:ffff::1", "198.51.100.1"} {
		limiter.Charge(netip.MustParseAddr(text), now)
	}
	for _, row := range []struct {
		name, addr string
		mustWait   bool
	}{
		{name: "used up", addr: "192.0.2.1", mustWait: true},
		{name: "the same, mapped", addr: "::ffff:192.0.2.1", mustWait: true},
		{name: "neighbour in IPv4", addr: "192.0.2.2"},
		{name: "one left", addr: "198.51.100.1"},
		{name: "same /64", addr: "2001:db8::2", mustWait: true},
		{name: "same /64 with a zone", addr: "2001:db8::2%eth0", mustWait: true},
		{name: "next /64", addr: "2001:db8:0:1::2"},
		{name: "never charged", addr: "::1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			wait := limiter.Wait(netip.MustParseAddr(row.addr), now)
			if (wait > 0) != row.mustWait || wait > 31*time.Second {
				t.Errorf("Wait(%s) = %s, want a wait: %t, of at most 31s", row.addr, wait, row.mustWait)
			}
			if wait := limiter.Wait(netip.MustParseAddr(row.addr), now.Add(31*time.Second)); wait != 0 {
				t.Errorf("Wait(%s) after an interval = %s, want 0", row.addr, wait)
			}
		})
	}
}

func TestLimiterForgetsSources(t *testing.T) {
	t.Parallel()
	now := time.Now()
	limiter := sourcelimit.New(1, time.Minute)
	for n := range 2 * sourcelimit.MaxSources {
		limiter.Charge(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), now)
	}
	if got := limiter.Sources(); got != sourcelimit.MaxSources {
		t.Errorf("Sources() = %d, want %d", got, sourcelimit.MaxSources)
	}
}

func TestSourceOfInvalidAddress(t *testing.T) {
	t.Parallel()
	if got := sourcelimit.Source(netip.Addr{}); got.IsValid() {
		t.Errorf("Source(zero address) = %s, want the zero prefix", got)
	}
}
