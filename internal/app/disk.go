package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// diskCheckInterval is how long a check of the disk is cached.
const diskCheckInterval = 250 * time.Millisecond

// disk checks the folders into which the receiver writes, at most a few times a second.
type disk struct {
	paths   []string
	minFree uint64       // bytes
	begun   time.Time    // monotonic start of checked
	checked atomic.Int64 // nanoseconds since begun
	failed  atomic.Pointer[error]
}

var (
	errDiskLow  = errors.New("app: the disk is nearly full")
	errNoInodes = errors.New("app: the disk has no inodes left, it can hold no more files")
)

// check returns why the receiver cannot write, or nil.
func (d *disk) check() error {
	now := int64(time.Since(d.begun))
	checked := d.checked.Load()
	if now-checked > int64(diskCheckInterval) && d.checked.CompareAndSwap(checked, now) {
		err := d.measure()
		d.failed.Store(&err)
	}
	if failed := d.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

func (d *disk) measure() error {
	for _, path := range d.paths {
		if err := checkSpace(path, d.minFree); err != nil {
			return err
		}
	}
	return nil
}

// checkSpace returns an error if there is less free space at path than minFree.
func checkSpace(path string, minFree uint64) error {
	space, err := filesystem.SpaceAt(path)
	if err != nil {
		return fmt.Errorf("app: %w", err)
	}
	if space.Known && space.Free < minFree {
		return fmt.Errorf("%w: %s has %s free, needs %s", errDiskLow, path, humanize.IBytes(space.Free), humanize.IBytes(minFree))
	}
	return nil
}

// unavailable returns the answer to a callback that is refused because of an error of check.
func (d *disk) unavailable(err error) error {
	switch {
	case errors.Is(err, errDiskLow):
		return problem.Unavailable("The disk is full.", err)
	case errors.Is(err, fs.ErrNotExist):
		return problem.Unavailable("The data folder is missing.", err)
	default:
		return problem.Unavailable("The data folder cannot be used.", err)
	}
}

// folderCheck checks a folder of images. A network file system may not answer, so that a check can outlive its caller: only one runs.
type folderCheck struct {
	path    string
	minFree uint64        // bytes
	running chan struct{} // holds a token while a check runs
}

// folderCheckTimeout is how long a check may take before the folder counts as unusable.
const folderCheckTimeout = 500 * time.Millisecond

func newFolderCheck(path string, minFree uint64) *folderCheck {
	return &folderCheck{path: path, minFree: minFree, running: make(chan struct{}, 1)}
}

// run returns why no image can be stored in the folder, or nil.
func (c *folderCheck) run(ctx context.Context) error {
	select {
	case c.running <- struct{}{}:
	default:
		return fmt.Errorf("app: %s does not answer", c.path)
	}
	result := make(chan error, 1)
	go func() {
		defer func() { <-c.running }()
		result <- c.look()
	}()
	ctx, cancel := context.WithTimeout(ctx, folderCheckTimeout)
	defer cancel()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("app: %s does not answer: %w", c.path, ctx.Err())
	}
}

func (c *folderCheck) look() error {
	if err := unix.Access(c.path, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("app: %w", filesystem.Explain(c.path, &fs.PathError{Op: "write to", Path: c.path, Err: err}))
	}
	if space, err := filesystem.SpaceAt(c.path); err == nil && space.NoInodes() {
		return fmt.Errorf("%w: %s", errNoInodes, c.path)
	}
	return checkSpace(c.path, c.minFree)
}

// usage is the current usage of the disks that know it.
func (d *disk) usage() []admin.Disk {
	list := []admin.Disk{}
	for _, path := range d.paths {
		if space, err := filesystem.SpaceAt(path); err == nil && space.Known {
			used := admin.Disk{Path: path, Free: space.Free, Total: space.Total, Minimum: d.minFree}
			if space.HasInodes {
				used.Inodes = &space.FreeInodes
			}
			list = append(list, used)
		}
	}
	return list
}
