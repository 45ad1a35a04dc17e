package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Names in the data folder.
const (
	lockName   = "lock"
	imagesName = "images"
	// thumbnailsName is of what the dashboard shows; it can be thrown away.
	thumbnailsName = "thumbnails"
)

// ErrInUse says that another receiver has the data folder.
var ErrInUse = errors.New("in use by another receiver")

// dataFolder is the folder that holds everything of the embedded default. One
// process has it for itself: the stores in it rely on that.
type dataFolder struct {
	path string
	lock *flock.Flock
}

// openDataFolder makes the folder if it is missing and takes it for this process.
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

// file is the path of a name in the folder.
func (d *dataFolder) file(name string) string { return filepath.Join(d.path, name) }

// sync makes the names of new files in the folder safe.
func (d *dataFolder) sync() error {
	folder, err := os.Open(d.path)
	if err != nil {
		return fmt.Errorf("app: data folder: %w", err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// close lets another process have the folder.
func (d *dataFolder) close() error { return d.lock.Close() }
