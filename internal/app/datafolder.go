package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/gofrs/flock"
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

// dataFolder is the folder of the embedded default. Its lock makes sure that only one process uses the stores in it.
type dataFolder struct {
	path string
	lock *flock.Flock
}

// openDataFolder creates the folder if needed and locks it for this process. It returns ErrInUse if another process has the lock.
func openDataFolder(path string) (*dataFolder, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("app: data folder %s: %w", path, err)
	}
	if err := os.MkdirAll(absolute, 0o750); err != nil {
		return nil, fmt.Errorf("app: data folder: %w", err)
	}
	lock := flock.New(filepath.Join(absolute, lockName), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("app: data folder: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("app: the data folder %s is %w", absolute, ErrInUse)
	}
	return &dataFolder{path: absolute, lock: lock}, nil
}

// sync syncs the folder, so that the names of new files survive a crash.
func (d *dataFolder) sync() error {
	if err := blobstore.SyncFolder(d.path); err != nil {
		return fmt.Errorf("app: data folder: %w", err)
	}
	return nil
}

// close releases the lock.
func (d *dataFolder) close() error { return d.lock.Close() }
