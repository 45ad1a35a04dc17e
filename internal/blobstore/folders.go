package blobstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// maxKnown bounds the memory of which folders are safe; forgetting them costs a sync each.
const maxKnown = 4096

// folders makes folders so that they are still there after a crash, and
// remembers which ones are.
type folders struct {
	disk  *disk
	mutex sync.Mutex
	known map[string]knownFolder
	last  uint64                 // number of a known folder
	syncs map[string]*folderSync // the next sync of each folder, which has not begun
	begun map[string]*folderSync // the sync of each folder that is in progress
}

// knownFolder is a folder that existed.
type knownFolder struct {
	number uint64 // distinguishes it from another one that has taken its place
	safe   bool   // its entry in its parent was synced while it existed
}

// folderSync is one sync of a folder, which all share that ask for it before it begins.
type folderSync struct {
	done chan struct{}
	err  error
}

func newFolders(disk *disk) *folders {
	return &folders{
		disk: disk, known: make(map[string]knownFolder), syncs: make(map[string]*folderSync), begun: make(map[string]*folderSync),
	}
}

// makeAbove makes every missing folder above key and syncs the parent of each.
func (f *folders) makeAbove(ctx context.Context, key string) error {
	for _, folder := range parents(key) {
		if err := ctx.Err(); err != nil {
			return err
		}
		made, err := f.makeOne(folder)
		if err != nil {
			return err
		}
		// Also the parent of a folder that was there already, once: who made it may have crashed, or not have come to the sync yet.
		if !made && f.knows(folder).safe {
			continue
		}
		if err := f.secure(folder); err != nil {
			return err
		}
	}
	return nil
}

// makeUnsynced makes the folders above key that are not known, and syncs nothing.
func (f *folders) makeUnsynced(ctx context.Context, key string) error {
	for _, folder := range parents(key) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, ok := f.find(folder); ok {
			continue
		}
		if _, err := f.makeOne(folder); err != nil {
			return err
		}
	}
	return nil
}

// makeOne makes a folder unless it is there.
func (f *folders) makeOne(folder string) (made bool, err error) {
	err = f.disk.Mkdir(folder, folderPermissions)
	made = err == nil
	if made && f.disk.modes.folder != 0 {
		err = f.disk.Chmod(folder, f.disk.modes.folder)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return made, err
	}
	f.remember(folder, made)
	return made, nil
}

func (f *folders) find(folder string) (known knownFolder, ok bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	known, ok = f.known[folder]
	return known, ok
}

func (f *folders) knows(folder string) knownFolder {
	known, _ := f.find(folder)
	return known
}

// remember notes that a folder exists. One that was made is not safe, whatever was there before.
func (f *folders) remember(folder string, made bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if _, ok := f.known[folder]; ok && !made {
		return
	}
	if len(f.known) >= maxKnown {
		clear(f.known)
	}
	f.last++
	f.known[folder] = knownFolder{number: f.last}
}

// forget lets the folders above key be made again.
func (f *folders) forget(key string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, folder := range parents(key) {
		delete(f.known, folder)
	}
}

// secure syncs the parent of a folder.
func (f *folders) secure(folder string) error {
	before := f.knows(folder)
	if err := f.sync(path.Dir(folder)); err != nil {
		return err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if known, ok := f.known[folder]; ok && known == before {
		f.known[folder] = knownFolder{number: known.number, safe: true}
	}
	return nil
}

// secureAbove syncs the folder of each key, and the parents of the folders above it that are not safe.
func (f *folders) secureAbove(keys []string) error {
	var group errgroup.Group
	folders := map[string]struct{}{}
	for _, key := range keys {
		folders[path.Dir(key)] = struct{}{}
	}
	for folder := range folders {
		group.Go(func() error { return f.sync(folder) })
		for _, above := range parents(path.Join(folder, "inside")) {
			if !f.knows(above).safe {
				group.Go(func() error { return f.secure(above) })
			}
		}
	}
	return group.Wait()
}

// sync makes the names durable that are in a folder now. Calls that wait for the same folder share one sync.
func (f *folders) sync(folder string) error {
	f.mutex.Lock()
	if next, ok := f.syncs[folder]; ok {
		f.mutex.Unlock()
		<-next.done
		return next.err
	}
	next := &folderSync{done: make(chan struct{})}
	f.syncs[folder] = next
	running := f.begun[folder]
	f.mutex.Unlock()
	if running != nil {
		<-running.done
	}
	f.mutex.Lock()
	delete(f.syncs, folder)
	f.begun[folder] = next
	f.mutex.Unlock()
	next.err = f.disk.syncFolder(folder)
	f.mutex.Lock()
	delete(f.begun, folder)
	f.mutex.Unlock()
	close(next.done)
	return next.err
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
