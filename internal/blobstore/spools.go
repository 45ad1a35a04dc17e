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
// lock file in it is held as long as the bucket is open, so that who starts
// later can tell what the living still need from what the dead left behind.
type spools struct {
	root   *os.Root
	folder string
	lock   *flock.Flock
	last   atomic.Uint64
}

// openSpools removes what dead processes left and makes a new folder. Both are
// done under one lock for the whole of .spool: a folder that is just being made
// is not locked yet and would look like a dead one.
func openSpools(ctx context.Context, root *os.Root) (*spools, error) {
	if err := root.Mkdir(spoolsName, spoolPermissions); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, failure("make the folder of spools", err)
	}
	guard, err := lockAll(ctx, root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = guard.Unlock() }()
	if err := removeDead(ctx, root); err != nil {
		return nil, failure("remove left-over spools", err)
	}
	return makeSpools(root)
}

// lockAll keeps every other process from making or removing folders of spools.
func lockAll(ctx context.Context, root *os.Root) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	guard := lockFile(root, spoolsName)
	if _, err := guard.TryLockContext(ctx, lockPoll); err != nil {
		return nil, failure("lock the folder of spools", err)
	}
	return guard, nil
}

func makeSpools(root *os.Root) (*spools, error) {
	folder := path.Join(spoolsName, rand.Text())
	if err := root.Mkdir(folder, spoolPermissions); err != nil {
		return nil, failure("make a folder for spools", err)
	}
	lock := lockFile(root, folder)
	locked, err := lock.TryLock()
	if err == nil && !locked {
		err = errors.New("it is locked though it is new")
	}
	if err != nil {
		return nil, failure("lock a folder for spools", err)
	}
	return &spools{root: root, folder: folder, lock: lock}, nil
}

// removeDead removes every folder of spools whose lock nobody holds.
func removeDead(ctx context.Context, root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), spoolsName)
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
		if err := removeIfDead(root, path.Join(spoolsName, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func removeIfDead(root *os.Root, folder string) error {
	lock := lockFile(root, folder)
	dead, err := lock.TryLock()
	if err != nil || !dead {
		return err
	}
	if err := lock.Unlock(); err != nil {
		return err
	}
	return root.RemoveAll(folder)
}

func lockFile(root *os.Root, folder string) *flock.Flock {
	name := filepath.Join(root.Name(), filepath.FromSlash(folder), lockName)
	return flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR)) // NFS locks only what is open for writing
}

// spool makes an empty spool.
func (s *spools) spool() (*Spool, error) {
	return newSpool(s.root, path.Join(s.folder, strconv.FormatUint(s.last.Add(1), 10)))
}

// own says whether the spool was made here.
func (s *spools) own(spool *Spool) error {
	if spool.root != s.root {
		return errors.New("blobstore: the spool belongs to another bucket")
	}
	return nil
}

// close removes the folder with all that is left in it, and gives the lock back.
func (s *spools) close() error {
	guard, err := lockAll(context.Background(), s.root)
	if err != nil {
		return errors.Join(err, s.lock.Unlock()) // the next start removes the folder
	}
	defer func() { _ = guard.Unlock() }()
	return errors.Join(s.root.RemoveAll(s.folder), s.lock.Unlock())
}
