package app

import (
	"errors"
	"fmt"
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
		free, err := freeBytes(path)
		if err != nil {
			return err
		}
		if free < d.minFree {
			return fmt.Errorf("%w: %s has %s free, needs %s", errDiskLow, path, humanize.IBytes(free), humanize.IBytes(d.minFree))
		}
	}
	return nil
}

// freeBytes is the free space for ordinary users.
func freeBytes(path string) (uint64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("app: free space of %s: %w", path, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}

// usage is the current usage of the disks.
func (d *disk) usage() []admin.Disk {
	list := []admin.Disk{}
	for _, path := range d.paths {
		var stat unix.Statfs_t
		if err := unix.Statfs(path, &stat); err == nil {
			list = append(list, admin.Disk{
				Path: path, Free: stat.Bavail * uint64(stat.Bsize), Total: stat.Blocks * uint64(stat.Bsize), Minimum: d.minFree,
			})
		}
	}
	return list
}
