package filesystem_test

import (
	"math"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"golang.org/x/sys/unix"
)

func TestSpace(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		stat        unix.Statfs_t
		free, total uint64
		known       bool
		noInodes    bool
	}{
		"ordinary":                {stat: unix.Statfs_t{Blocks: 100, Bfree: 20, Bavail: 10, Bsize: 4096, Frsize: 4096}, free: 40960, total: 409600, known: true},
		"full":                    {stat: unix.Statfs_t{Blocks: 100, Bsize: 4096, Frsize: 4096}, total: 409600, known: true},
		"C8: statfs says 0":       {stat: unix.Statfs_t{Bsize: 4096, Frsize: 4096}},
		"C8: no size of a block":  {stat: unix.Statfs_t{Blocks: 100, Bavail: 10}},
		"C8: large blocks":        {stat: unix.Statfs_t{Blocks: 100, Bavail: 10, Bsize: 1 << 20, Frsize: 4096}, free: 40960, total: 409600, known: true},
		"C8: no fragments":        {stat: unix.Statfs_t{Blocks: 100, Bavail: 10, Bsize: 4096}, free: 40960, total: 409600, known: true},
		"C8: statfs overflows":    {stat: unix.Statfs_t{Blocks: 1 << 60, Bavail: 1 << 52, Bsize: 4096, Frsize: 4096}, free: math.MaxUint64, total: math.MaxUint64, known: true},
		"C8: the largest numbers": {stat: unix.Statfs_t{Blocks: math.MaxUint64, Bavail: math.MaxUint64, Bsize: 512, Frsize: 512}, free: math.MaxUint64, total: math.MaxUint64, known: true},
		"C9: no inodes":           {stat: unix.Statfs_t{Blocks: 100, Bavail: 10, Bsize: 4096, Frsize: 4096, Files: 5}, free: 40960, total: 409600, known: true, noInodes: true},
		"C9: inodes not counted":  {stat: unix.Statfs_t{Blocks: 100, Bavail: 10, Bsize: 4096, Frsize: 4096}, free: 40960, total: 409600, known: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			space := filesystem.SpaceOf(&row.stat)
			if space.Free != row.free || space.Total != row.total || space.Known != row.known || space.NoInodes() != row.noInodes {
				t.Errorf("space = %+v, want %d of %d, known %t, no inodes %t", space, row.free, row.total, row.known, row.noInodes)
			}
		})
	}
}
