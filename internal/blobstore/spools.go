package blobstore

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

const (
	spoolsName = ".spool" // the folder of all spools, in the bucket's root: the same file system
	lockName   = "lock"

	lockWait = 30 * time.Second // for other processes that are starting or stopping; they hold the lock for milliseconds
	lockPoll = 5 * time.Millisecond
)

// spools is the folder of one open bucket's spools, .spool/<random name>. The
// lock file in it is held as long as the bucket is open, so that a process
// that starts later can distinguish folders in use from those that a crash left behind.
type spools struct {
	disk   *disk
	folder string
	lock   *flock.Flock
	last   atomic.Uint64
}

// openSpools removes what dead processes left and makes a new folder. Both are
// done under one lock for the whole of .spool: a folder that is just being made
// is not locked yet and would look like a dead one.
func openSpools(ctx context.Context, disk *disk) (*spools, error) {
	if err := makeSpoolsFolder(disk); err != nil {
		return nil, failure("make the folder of spools", err)
	}
	guard, err := lockAll(ctx, disk)
	if err != nil {
		return nil, err
	}
	defer func() { _ = guard.Unlock() }()
	if err := removeDead(ctx, disk); err != nil {
		return nil, failure("remove left-over spools", err)
	}
	return makeSpools(disk)
}

// makeSpoolsFolder refuses a symbolic link in the folder's place: locks are
// opened by their path, which would follow it out of the disk.
func makeSpoolsFolder(disk *disk) error {
	err := disk.Mkdir(spoolsName, spoolPermissions)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := disk.Lstat(spoolsName)
	if err == nil && !info.IsDir() {
		err = errors.New(spoolsName + " is not a folder")
	}
	return err
}

// lockAll keeps every other process from making or removing folders of spools.
func lockAll(ctx context.Context, disk *disk) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	guard := lockFile(disk, spoolsName)
	if _, err := guard.TryLockContext(ctx, lockPoll); err != nil {
		return nil, failure("lock the folder of spools", err)
	}
	return guard, nil
}

func makeSpools(disk *disk) (*spools, error) {
	folder := path.Join(spoolsName, rand.Text())
	if err := disk.Mkdir(folder, spoolPermissions); err != nil {
		return nil, failure("make a folder for spools", err)
	}
	lock := lockFile(disk, folder)
	locked, err := lock.TryLock()
	if err == nil && !locked {
		err = errors.New("it is locked though it is new")
	}
	if err != nil {
		return nil, failure("lock a folder for spools", err)
	}
	return &spools{disk: disk, folder: folder, lock: lock}, nil
}

// removeDead removes every folder of spools whose lock is free.
func removeDead(ctx context.Context, disk *disk) error {
	entries, err := fs.ReadDir(disk.FS(), spoolsName)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !entry.IsDir() {
			continue
		}
		if err := removeIfDead(disk, path.Join(spoolsName, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func removeIfDead(disk *disk, folder string) error {
	lock := lockFile(disk, folder)
	dead, err := lock.TryLock()
	if err != nil || !dead {
		return err
	}
	if err := lock.Unlock(); err != nil {
		return err
	}
	return disk.RemoveAll(folder)
}

func lockFile(disk *disk, folder string) *flock.Flock {
	name := filepath.Join(disk.Name(), filepath.FromSlash(folder), lockName)
	return flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR)) // NFS locks only what is open for writing
}

// spool makes an empty spool.
func (s *spools) spool() (*Spool, error) {
	return newSpool(s.disk, path.Join(s.folder, strconv.FormatUint(s.last.Add(1), 10)))
}

// own says whether the spool was made here.
func (s *spools) own(spool *Spool) error {
	if spool.disk != s.disk {
		return errors.New("blobstore: the spool belongs to another bucket, or to a folder that was replaced")
	}
	return nil
}

// close removes the folder with all that is left in it, and releases the lock.
func (s *spools) close() error {
	guard, err := lockAll(context.Background(), s.disk)
	if err != nil {
		return errors.Join(err, s.lock.Unlock()) // the next start removes the folder
	}
	defer func() { _ = guard.Unlock() }()
	return s.remove()
}

// remove releases the lock first: some file systems keep a removed file that is open under another name in its folder.
func (s *spools) remove() error {
	return errors.Join(s.lock.Unlock(), s.disk.RemoveAll(s.folder))
}
