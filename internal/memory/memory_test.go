package memory_test

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/memory"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner is the network of a client.
func owner(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// acquire returns the lease, or nil if there is none within a second.
func acquire(t *testing.T, part *memory.Part, from netip.Prefix, n int64) *memory.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	lease, err := part.Acquire(ctx, from, n)
	if err != nil && !errors.Is(err, memory.ErrFull) {
		t.Fatalf("error = %v, want %v", err, memory.ErrFull)
	}
	return lease
}

func TestShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		budget := memory.New(800) // small 100, large 400, work 300
		one, two, three := owner("192.0.2.1/32"), owner("192.0.2.2/32"), owner("192.0.2.3/32")
		first := acquire(t, budget.Large, one, 250)
		for _, row := range []struct {
			name string
			part *memory.Part
			from netip.Prefix
			n    int64
			want bool
		}{
			{name: "D3 beyond the share of a source", part: budget.Large, from: one, n: 51},
			{name: "D3 the rest of the share", part: budget.Large, from: one, n: 50, want: true},
			{name: "D3 another source", part: budget.Large, from: two, n: 100, want: true},
			{name: "D3 all is used", part: budget.Large, from: three, n: 1},
			{name: "D3 small bodies of a source with its share", part: budget.Small, from: one, n: 75, want: true},
			{name: "D1 work is one owner", part: budget.Work, n: 300, want: true},
			{name: "D1 more work", part: budget.Work, n: 1},
		} {
			if got := acquire(t, row.part, row.from, row.n); (got != nil) != row.want {
				t.Errorf("%s: got a lease %t, want %t", row.name, got != nil, row.want)
			}
		}
		first.Shrink(10)
		if acquire(t, budget.Large, three, 240) == nil {
			t.Error("D3 after a release: got no lease, want one")
		}
	})
}

// TestWaiting grants memory in the order of the requests. A source with its share delays no other.
func TestWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		part := memory.New(800).Large // 400, of which a source gets 300
		one, two := owner("192.0.2.1/32"), owner("2001:db8::/64")
		held := acquire(t, part, one, math.MaxInt64)
		granted := make(chan string, 3)
		wait := func(name string, from netip.Prefix, n int64) {
			go func() {
				if lease, err := part.Acquire(t.Context(), from, n); err == nil {
					granted <- name
					lease.Release()
					lease.Release() // has no effect
				}
			}()
			synctest.Wait()
		}
		wait("the same source", one, 300)
		wait("another source, too much", two, 300)
		wait("another source", two, 100)
		if len(granted) > 0 {
			t.Errorf("granted = %s, want none before a release", <-granted)
		}
		held.Release()
		for _, want := range []string{"the same source", "another source, too much", "another source"} {
			if got := <-granted; got != want {
				t.Errorf("granted = %s, want %s", got, want)
			}
		}
	})
}

// TestOrderOfAnOwner grants a large request before those of the same owner that came later and are small enough to pass it.
func TestOrderOfAnOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		work := memory.New(800).Work // 300
		first, second := acquire(t, work, netip.Prefix{}, 150), acquire(t, work, netip.Prefix{}, 150)
		granted := make(chan int64, 2)
		for _, n := range []int64{300, 100} {
			go func() {
				if lease, err := work.Acquire(t.Context(), netip.Prefix{}, n); err == nil {
					granted <- n
					lease.Release()
				}
			}()
			synctest.Wait()
		}
		first.Release()
		synctest.Wait()
		if len(granted) > 0 {
			t.Errorf("D1 granted = %d while 150 are used, want none before 300", <-granted)
		}
		second.Release()
		for _, want := range []int64{300, 100} {
			if got := <-granted; got != want {
				t.Errorf("D1 granted = %d, want %d", got, want)
			}
		}
	})
}

// grow reports whether a lease gets n bytes within a second.
func grow(t *testing.T, lease *memory.Lease, n int64) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := lease.Grow(ctx, n)
	if err != nil && !errors.Is(err, memory.ErrFull) {
		t.Fatalf("error = %v, want %v", err, memory.ErrFull)
	}
	return err == nil
}

func TestGrow(t *testing.T) {
	t.Parallel()
	one, two := owner("192.0.2.1/32"), owner("192.0.2.2/32")
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			part := memory.New(800).Large // 400, of which a source gets 300
			lease := acquire(t, part, one, 200)
			if !grow(t, lease, 400) {
				t.Error("D1 more than the share: got no memory, want all of the share")
			}
			if acquire(t, part, one, 1) != nil {
				t.Error("D1 the share is used: got a lease, want none")
			}
			lease.Release()
			if acquire(t, part, one, 300) == nil {
				t.Error("D1 all is released: got no lease, want one")
			}
			var unlimited *memory.Lease
			if !grow(t, unlimited, 1<<30) {
				t.Error("nil lease: got no memory, want some")
			}
		})
	})
	t.Run("before those who wait", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			part := memory.New(800).Large
			lease := acquire(t, part, one, 200)
			granted := make(chan *memory.Lease, 2)
			for _, from := range []netip.Prefix{one, two} { // both wait for the memory of the lease
				go func() {
					waiting, _ := part.Acquire(t.Context(), from, 300)
					granted <- waiting
				}()
				synctest.Wait()
			}
			if !grow(t, lease, 250) {
				t.Error("D1 got no memory, want 50 more bytes")
			}
			lease.Release()
			(<-granted).Release()
			(<-granted).Release()
		})
	})
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			part := memory.New(800).Large
			first, second := acquire(t, part, one, 150), acquire(t, part, one, 150)
			grown := make(chan error, 1)
			go func() { grown <- first.Grow(t.Context(), 300) }()
			synctest.Wait()
			began := time.Now()
			if grow(t, second, 300) || time.Since(began) > 0 {
				t.Errorf("D1 the second got memory or waited %s, want neither", time.Since(began))
			}
			second.Release()
			if err := <-grown; err != nil {
				t.Errorf("D1 error of the first = %v, want none", err)
			}
			third := acquire(t, part, two, 50)
			if !grow(t, third, 100) {
				t.Error("D1 what is free: got no memory, want some")
			}
		})
	})
}

func TestLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		work, ctx := memory.New(1<<20).Work, t.Context() // 384 KiB
		lease, err := work.AcquireLoad(ctx, 1<<30)
		if err != nil {
			t.Fatalf("D1 a body larger than the budget: error = %v, want none", err)
		}
		if small, err := work.AcquireLoad(ctx, memory.SmallBytes); err != nil || small != nil {
			t.Errorf("D1 small body: lease, error = %v, %v, want none", small, err)
		}
		began := time.Now()
		if _, err := work.AcquireLoad(ctx, memory.SmallBytes+1); !errors.Is(err, memory.ErrFull) || time.Since(began) != 10*time.Second {
			t.Errorf("D1 all is used: error = %v after %s, want %v after 10s", err, time.Since(began), memory.ErrFull)
		}
		lease.Release()
		var unlimited *memory.Part
		if _, err := unlimited.AcquireLoad(t.Context(), 1<<30); err != nil {
			t.Errorf("nil part: error = %v, want none", err)
		}
	})
}

func TestLimit(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(mount, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("inner/memory.max", "805306368\n")
	write("inner/box/memory.max", "max\n")
	write("memory/one/memory.limit_in_bytes", "629145600\n")
	write("memory/memory.limit_in_bytes", "9223372036854771712\n")
	v2, v1, none := write("v2", "0::/inner/box\n"), write("v1", "3:cpu,memory:/one\n0::/\n"), write("none", "2:cpu:/one\n0::/\n")
	for _, row := range []struct {
		name, variable, membership string
		want                       memory.Limit
	}{
		{name: "F4 nothing", membership: none},
		{name: "F4 no file", membership: "/nowhere"},
		{name: "F4 GOMEMLIMIT", variable: "640MiB", membership: none, want: 640 << 20},
		{name: "F4 GOMEMLIMIT in bytes", variable: "1000B", membership: none, want: 1000},
		{name: "F4 GOMEMLIMIT off", variable: "off", membership: none},
		{name: "F4 GOMEMLIMIT too large", variable: "9999999999TiB", membership: none},
		{name: "F4 control group, version 2", membership: v2, want: 640 << 20},
		{name: "F4 control group, version 1", membership: v1, want: 500 << 20},
		{name: "F4 the smaller one", variable: "1GiB", membership: v2, want: 640 << 20},
		{name: "F4 the smaller one is GOMEMLIMIT", variable: "100MiB", membership: v2, want: 100 << 20},
	} {
		if got := memory.LimitOf(row.variable, mount, row.membership); got != row.want {
			t.Errorf("%s: limit = %d, want %d", row.name, got, row.want)
		}
	}
	for _, row := range []struct{ limit, wished, want int64 }{{0, 256 << 20, 256 << 20}, {640 << 20, 256 << 20, 256 << 20}, {320 << 20, 256 << 20, 128 << 20}} {
		if got := memory.Limit(row.limit).Budget(row.wished); got != row.want {
			t.Errorf("F4 budget of %d within %d = %d, want %d", row.wished, row.limit, got, row.want)
		}
	}
}
