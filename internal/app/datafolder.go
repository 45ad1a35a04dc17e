package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// Names in the data folder.
const (
	lockName   = "lock"
	imagesName = "images"
	// thumbnailsName is a cache of the dashboard. It can be deleted.
	thumbnailsName = "thumbnails"
)

// ErrInUse means that another receiver uses the data folder.
var ErrInUse = errors.New("in use by another receiver")

// dataFolder is the folder of the embedded default. Its locks make sure that only one process uses the stores in it: one of the folder,
// which stays when a file is removed, and one of a file, because some file systems lock no folders.
type dataFolder struct {
	path   string
	folder *os.File

	mutex sync.Mutex
	lock  *flock.Flock // nil when closed
}

// openDataFolder creates the folder if needed and locks it for this process. It returns ErrInUse if another process has the lock.
func openDataFolder(path string) (_ *dataFolder, err error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("app: data folder %s: %w", path, err)
	}
	d := &dataFolder{path: absolute}
	if err := d.open(); err != nil {
		return nil, fmt.Errorf("app: data folder: %w", errors.Join(filesystem.Explain(absolute, err), d.close()))
	}
	return d, nil
}

func (d *dataFolder) open() (err error) {
	if err := filesystem.MakeFolder(d.path, 0o750); err != nil {
		return err
	}
	if d.folder, err = os.Open(d.path); err != nil {
		return err
	}
	if err := unix.Flock(int(d.folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return d.inUse()
	}
	d.lock, err = lockFile(d.path)
	if err == nil && d.lock == nil {
		err = d.inUse()
	}
	return err
}

func (d *dataFolder) inUse() error { return fmt.Errorf("%s is %w", d.path, ErrInUse) }

// lockFile locks the file in the folder for this process. It returns nil if another process has the lock.
func lockFile(folder string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(folder, lockName), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, lock.Close()
	}
	return lock, nil
}

// restoreLock makes and locks the lock file again if it was removed or replaced. It returns ErrInUse if another process has locked the new one.
func (d *dataFolder) restoreLock() error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.lock == nil {
		return nil
	}
	held, err := d.lock.Stat()
	if err != nil {
		return err
	}
	if found, err := os.Stat(d.lock.Path()); err == nil && os.SameFile(held, found) {
		return nil
	}
	lock, err := lockFile(d.path)
	switch {
	case err != nil:
		return err
	case lock == nil:
		return d.inUse()
	}
	old := d.lock
	d.lock = lock
	return old.Close()
}

// sync syncs the folder, so that the names of new files survive a crash.
func (d *dataFolder) sync() error {
	if err := filesystem.TrySyncFolder(d.path); err != nil {
		return fmt.Errorf("app: data folder: %w", err)
	}
	return nil
}

// close releases the locks.
func (d *dataFolder) close() error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	var err error
	if d.lock != nil {
		err = d.lock.Close()
		d.lock = nil
	}
	if d.folder != nil {
		err = errors.Join(err, d.folder.Close())
	}
	return err
}
