package app

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// diskLookEvery is how long a look at the disk counts.
const diskLookEvery = 250 * time.Millisecond

// disk tells whether there is room where the receiver writes. It looks at most a
// few times a second, however often it is asked.
type disk struct {
	paths   []string
	minFree uint64       // bytes
	begun   time.Time    // what looked counts from; the clock of the wall may be set
	looked  atomic.Int64 // nanoseconds since begun
	low     atomic.Bool
}

var errDiskLow = errors.New("app: the disk is nearly full")

// check is nil while there is room.
func (d *disk) check() error {
	now := int64(time.Since(d.begun))
	looked := d.looked.Load()
	if now-looked > int64(diskLookEvery) && d.looked.CompareAndSwap(looked, now) {
		d.low.Store(d.look() != nil)
	}
	if d.low.Load() {
		return errDiskLow
	}
	return nil
}

func (d *disk) look() error {
	for _, path := range d.paths {
		free, err := freeBytes(path)
		if err != nil {
			return err
		}
		if free < d.minFree {
			return fmt.Errorf("%w: %s has %s left, %s are needed", errDiskLow, path, humanize.IBytes(free), humanize.IBytes(d.minFree))
		}
	}
	return nil
}

// freeBytes is the room that an ordinary user can still fill.
func freeBytes(path string) (uint64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("app: free room of %s: %w", path, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}
