package app_test

import (
	"math"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/app"
	"golang.org/x/sys/unix"
)

func TestSpace(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		stat        unix.Statfs_t
		free, total uint64
		known       bool
	}{
		"ordinary":                {stat: unix.Statfs_t{Blocks: 100, Bfree: 20, Bavail: 10, Bsize: 4096, Frsize: 4096}, free: 40960, total: 409600, known: true},
		"full":                    {stat: unix.Statfs_t{Blocks: 100, Bsize: 4096, Frsize: 4096}, total: 409600, known: true},
		"C8: statfs says 0":       {stat: unix.Statfs_t{Bsize: 4096, Frsize: 4096}},
		"C8: no size of a block":  {stat: unix.Statfs_t{Blocks: 100, Bavail: 10}},
		"C8: large blocks":        {stat: unix.Statfs_t{Blocks: 100, Bavail: 10, Bsize: 1 << 20, Frsize: 4096}, free: 40960, total: 409600, known: true},
		"C8: no fragments":        {stat: unix.Statfs_t{Blocks: 100, Bavail: 10, Bsize: 4096}, free: 40960, total: 409600, known: true},
		"C8: statfs overflows":    {stat: unix.Statfs_t{Blocks: 1 << 60, Bavail: 1 << 52, Bsize: 4096, Frsize: 4096}, free: math.MaxUint64, total: math.MaxUint64, known: true},
		"C8: the largest numbers": {stat: unix.Statfs_t{Blocks: math.MaxUint64, Bavail: math.MaxUint64, Bsize: 512, Frsize: 512}, free: math.MaxUint64, total: math.MaxUint64, known: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			free, total, known := app.Space(&row.stat)
			if free != row.free || total != row.total || known != row.known {
				t.Errorf("space = %d of %d, known %t, want %d of %d, known %t", free, total, known, row.free, row.total, row.known)
			}
		})
	}
}

// TestDiskOfUnknownSize is row C8: /proc counts no blocks, so that no callback is refused because of it.
func TestDiskOfUnknownSize(t *testing.T) {
	t.Parallel()
	usage, err := app.MeasureDisk("/proc", 1<<30)
	if err != nil || len(usage) != 0 {
		t.Errorf("MeasureDisk() = %v, %v, want no disk and no error", usage, err)
	}
}
