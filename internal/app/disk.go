package app

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// diskCheckInterval is how long a check of the disk is cached.
const diskCheckInterval = 250 * time.Millisecond

// disk checks the free space where the receiver writes, at most a few times a second.
type disk struct {
	paths   []string
	minFree uint64       // bytes
	begun   time.Time    // monotonic start of checked
	checked atomic.Int64 // nanoseconds since begun
	low     atomic.Bool
}

var errDiskLow = errors.New("app: the disk is nearly full")

// check returns errDiskLow if there is too little free space.
func (d *disk) check() error {
	now := int64(time.Since(d.begun))
	checked := d.checked.Load()
	if now-checked > int64(diskCheckInterval) && d.checked.CompareAndSwap(checked, now) {
		d.low.Store(d.measure() != nil)
	}
	if d.low.Load() {
		return errDiskLow
	}
	return nil
}

func (d *disk) measure() error {
	for _, path := range d.paths {
		free, _, known, err := spaceAt(path)
		if err != nil {
			return err
		}
		if known && free < d.minFree {
			return fmt.Errorf("%w: %s has %s free, needs %s", errDiskLow, path, humanize.IBytes(free), humanize.IBytes(d.minFree))
		}
	}
	return nil
}

// spaceAt returns the free space for ordinary users and the size of the file system, in bytes. Some file systems do not know
// them.
func spaceAt(path string) (free, total uint64, known bool, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0, 0, false, fmt.Errorf("app: free space of %s: %w", path, err)
	}
	free, total, known = space(&stat)
	return free, total, known, nil
}

// space computes what stat counts in blocks. A file system without any blocks does not count them.
func space(stat *unix.Statfs_t) (free, total uint64, known bool) {
	size := blockSize(stat)
	if stat.Blocks == 0 || size == 0 {
		return 0, 0, false
	}
	return saturatingProduct(stat.Bavail, size), saturatingProduct(stat.Blocks, size), true
}

// saturatingProduct returns a × b, or the largest number if that overflows.
func saturatingProduct(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high > 0 {
		return math.MaxUint64
	}
	return low
}

// usage is the current usage of the disks that know it.
func (d *disk) usage() []admin.Disk {
	list := []admin.Disk{}
	for _, path := range d.paths {
		if free, total, known, err := spaceAt(path); err == nil && known {
			list = append(list, admin.Disk{Path: path, Free: free, Total: total, Minimum: d.minFree})
		}
	}
	return list
}
