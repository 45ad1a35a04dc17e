package blobstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// maxKnown bounds the memory of which folders are safe; forgetting them costs a sync each.
const maxKnown = 4096

// folders makes folders so that they are still there after a crash, and
// remembers which ones are.
type folders struct {
	disk  *disk
	mutex sync.Mutex
	safe  map[string]struct{} // folders whose entry in their parent was synced while they existed
}

func newFolders(disk *disk) *folders {
	return &folders{disk: disk, safe: make(map[string]struct{})}
}

// makeAbove makes every missing folder above key and syncs the parent of each.
func (f *folders) makeAbove(ctx context.Context, key string) error {
	for _, folder := range parents(key) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.makeOne(folder); err != nil {
			return err
		}
	}
	return nil
}

// makeOne also syncs the parent of a folder that was there already, once: who
// made it may have crashed, or not have come to the sync yet.
func (f *folders) makeOne(folder string) error {
	err := f.disk.Mkdir(folder, folderPermissions)
	exists := errors.Is(err, fs.ErrExist)
	if err == nil && f.disk.modes.folder != 0 {
		err = f.disk.Chmod(folder, f.disk.modes.folder)
	}
	if err != nil && !exists {
		return err
	}
	if exists && f.isSafe(folder) {
		return nil
	}
	if err := f.disk.syncFolder(path.Dir(folder)); err != nil {
		return err
	}
	f.remember(folder)
	return nil
}

func (f *folders) isSafe(folder string) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	_, safe := f.safe[folder]
	return safe
}

func (f *folders) remember(folder string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if len(f.safe) >= maxKnown {
		clear(f.safe)
	}
	f.safe[folder] = struct{}{}
}

// makeRoot opens an absolute folder, after it has made what is missing of it.
func makeRoot(folder string, modes modes) (*os.Root, error) {
	existing := folder
	_, err := os.Stat(existing)
	for errors.Is(err, fs.ErrNotExist) {
		existing = filepath.Dir(existing)
		_, err = os.Stat(existing)
	}
	if err != nil {
		return nil, err
	}
	if err := makeBelow(existing, folder, modes); err != nil {
		return nil, err
	}
	return os.OpenRoot(folder)
}

// makeBelow makes the missing folders between an existing one and another below it.
func makeBelow(existing, folder string, modes modes) error {
	root, err := os.OpenRoot(existing)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	relative, err := filepath.Rel(existing, folder)
	if err != nil {
		return err
	}
	inside := path.Join(filepath.ToSlash(relative), "inside")
	disk := newDisk(root)
	disk.modes = modes
	return newFolders(disk).makeAbove(context.Background(), inside)
}
