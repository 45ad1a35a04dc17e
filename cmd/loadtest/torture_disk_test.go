//go:build linux && torture

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/faultfs"
	"github.com/deepimage-receiver/receiver/internal/loadtest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// mounted mounts a new fault file system over folder for the data of the receiver, and returns how to end it.
func (o *torture) mounted(t *testing.T, folder string) (m *faultfs.Mount, unmount func()) {
	t.Helper()
	point := t.TempDir()
	m, err := faultfs.Open(folder, point)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	o.data, o.images = filepath.Join(point, "data"), filepath.Join(folder, "data", "images")
	open := true
	unmount = func() {
		if !open {
			return
		}
		open = false
		if err := m.Close(); err != nil {
			t.Errorf("unmount: error = %v, want none", err)
		}
	}
	t.Cleanup(func() {
		if o.receiver != nil {
			o.receiver.Kill()
		}
		unmount()
	})
	return m, unmount
}

// TestTorturePowerLoss cuts the power under load: of what was not synced, any part is lost, in sectors and names. What was acknowledged
// before is done in the end.
func TestTorturePowerLoss(t *testing.T) {
	t.Parallel()
	o := newTorture(t)
	folder := t.TempDir()
	for range max(*rounds/2, 1) {
		m, unmount := o.mounted(t, folder)
		o.start(t)
		o.during(t, func() {
			pause(t, 50*time.Millisecond+o.upTo(600*time.Millisecond))
			m.Cut()
			pause(t, o.upTo(50*time.Millisecond))
			o.receiver.Kill()
		})
		kept := o.intN(101) // percent
		folder = t.TempDir()
		if err := m.Recover(folder, func() bool { return o.intN(100) < kept }); err != nil {
			t.Fatal(err)
		}
		unmount()
	}
	_, unmount := o.mounted(t, folder)
	o.start(t)
	o.finish(t)
	unmount()
}

// TestTortureFaults makes system calls fail under load, and lets them succeed again.
func TestTortureFaults(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		call  faultfs.Call
		where string // begin of the path below the data folder
		errno syscall.Errno
	}{
		"sync of the inbox":     {faultfs.Sync, "inbox", syscall.EIO},
		"sync of the work file": {faultfs.Sync, "work", syscall.EIO},
		"sync of an image":      {faultfs.Sync, "images/", syscall.EIO},
		"write to the inbox":    {faultfs.Write, "inbox", syscall.EIO},
		"write to the work":     {faultfs.Write, "work", syscall.EIO},
		"write of an image":     {faultfs.Write, "images/", syscall.ENOSPC},
		"link of an image":      {faultfs.Link, "images/", syscall.EIO},
		"no folder":             {faultfs.Create, "images/", syscall.ENOSPC},
		"quota":                 {faultfs.Write, "", syscall.EDQUOT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTorture(t)
			m, unmount := o.mounted(t, t.TempDir())
			o.start(t)
			o.during(t, func() {
				pause(t, 300*time.Millisecond)
				for _, share := range []int{10, 100} { // percent of the calls
					m.Fail(func(call faultfs.Call, path string) syscall.Errno {
						if call == row.call && strings.HasPrefix(path, "data/"+row.where) && o.intN(100) < share {
							return row.errno
						}
						return 0
					})
					pause(t, time.Second)
					m.Fail(nil)
					pause(t, 500*time.Millisecond)
				}
			})
			o.finish(t)
			unmount()
		})
	}
}

// small is a small file system in memory.
type small struct {
	point string
	limit string // option that bounds it
}

// tmpfs mounts a file system with an option until the test ends.
func tmpfs(t *testing.T, limit string) small {
	t.Helper()
	s := small{t.TempDir(), limit}
	if err := syscall.Mount("tmpfs", s.point, "tmpfs", 0, limit); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(s.point, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fill takes all bytes or inodes, and returns how to release them.
func (s small) fill(t *testing.T) (release func()) {
	t.Helper()
	folder := filepath.Join(s.point, "filler")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.limit, "nr_inodes") {
		fill(t, filepath.Join(folder, "bytes"))
	}
	for n := 0; strings.HasPrefix(s.limit, "nr_inodes"); n++ {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(n)), nil, 0o600); err != nil {
			break
		}
	}
	return func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	}
}

// TestTortureFullDisk fills the disks of the databases and the images, apart and together, with bytes and with inodes, before the start
// and under load. When there is space again, everything continues.
func TestTortureFullDisk(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]string{"bytes": "size=96m", "inodes": "nr_inodes=20000"} {
		for _, full := range []string{"databases", "images", "both"} {
			t.Run(name+" of "+full, func(t *testing.T) {
				t.Parallel()
				data, images := tmpfs(t, limit), tmpfs(t, limit)
				o := newTorture(t)
				o.data, o.images = filepath.Join(data.point, "data"), filepath.Join(images.point, "images")
				o.env = append(o.env, "RECEIVER_DOWNLOAD_BUCKET_URL=file://"+o.images)
				fillAll := func() func() {
					var releases []func()
					if full != "images" {
						releases = append(releases, data.fill(t))
					}
					if full != "databases" {
						releases = append(releases, images.fill(t))
					}
					return func() {
						for _, release := range releases {
							release()
						}
					}
				}
				o.startFull(t, fillAll) // with all migrations
				o.during(t, func() {
					pause(t, 500*time.Millisecond)
					release := fillAll()
					pause(t, 2*time.Second)
					release()
					pause(t, 500*time.Millisecond)
				})
				o.receiver.Kill()
				o.startFull(t, fillAll)
				o.finish(t)
			})
		}
	}
}

// startFull starts the receiver while disks are full: it waits or ends with an error. It starts when there is space again.
func (o *torture) startFull(t *testing.T, fillAll func() func()) {
	t.Helper()
	release := fillAll()
	started, ready, err := loadtest.Launch(o.settings())
	if err != nil {
		t.Fatal(err)
	}
	o.receiver = started
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	select {
	case <-ready:
	case <-started.Exited():
	case <-timer.C:
	}
	release()
	select {
	case <-started.Exited():
		o.start(t)
	default:
		testkit.Receive(t, "ready receiver after there is space", ready)
	}
}
