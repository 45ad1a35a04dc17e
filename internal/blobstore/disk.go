package blobstore

import (
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"syscall"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
)

// disk is a folder whose names cannot lead outside of it. Tests replace the calls that durability depends on.
type disk struct {
	*os.Root
	link   func(oldname, newname string) error // adds a second name to a file, unless it is taken
	rename func(oldname, newname string) error // moves a file to another name, unless it is taken
	sync   func(*os.File) error                // returns when a file's content, or a folder's names, survive a crash

	held   map[string]heldFolder // by name; folders that stay open
	modes  modes
	warn   func(error) // nil for no warnings
	warned sync.Once
}

func newDisk(root *os.Root) *disk {
	d := &disk{Root: root, sync: (*os.File).Sync}
	d.link = d.addLink
	d.rename = func(oldname, newname string) error { return renameNew(root, oldname, newname) }
	return d
}

// syncFolder makes the names in a folder durable. A file system that cannot do this is warned of once.
func (d *disk) syncFolder(name string) error {
	folder, err := d.open(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	err = filesystem.SyncOpenFolder(folder, d.sync)
	if errors.Is(err, filesystem.ErrNoFolderSync) {
		refused := err
		d.warned.Do(func() {
			if d.warn != nil {
				d.warn(refused)
			}
		})
		err = nil
	}
	return errors.Join(err, folder.Close())
}

// full names the lack of inodes in an error of a call that needs one: "no space left on device" is wrong beside free bytes.
func (d *disk) full(err error) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	if space, failed := filesystem.SpaceAt(d.Name()); failed != nil || !space.NoInodes() || space.Free == 0 {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoInodes, err)
}

// renameNew moves a file to a name that must be free.
func renameNew(root *os.Root, oldname, newname string) error {
	from, err := root.Open(path.Dir(oldname))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := root.Open(path.Dir(newname))
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	return filesystem.RenameNewAt(int(from.Fd()), path.Base(oldname), int(to.Fd()), path.Base(newname))
}
