package blobstore

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk is a folder whose names cannot lead outside of it. Tests replace the calls that durability depends on.
type disk struct {
	*os.Root
	link   func(oldname, newname string) error // adds a second name to a file, unless it is taken
	rename func(oldname, newname string) error // moves a file to another name, unless it is taken
	sync   func(*os.File) error                // returns when a file's content, or a folder's names, survive a crash

	warn   func(error) // nil for no warnings
	warned sync.Once
}

func newDisk(root *os.Root) *disk {
	rename := func(oldname, newname string) error { return renameNoReplace(root, oldname, newname) }
	return &disk{Root: root, link: root.Link, rename: rename, sync: (*os.File).Sync}
}

// syncFolder makes the names in a folder durable. A file system that cannot do this is warned of once.
func (d *disk) syncFolder(name string) error {
	folder, err := d.Open(name)
	if err != nil {
		return err
	}
	err = d.sync(folder)
	if lacksFolderSync(err) {
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

// lacksFolderSync reports whether a file system refuses to sync folders at all.
func lacksFolderSync(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EOPNOTSUPP)
}

// OpenFile is that of the root.
func (d *disk) OpenFile(name string, flag int, perm os.FileMode) (*os.File, error) {
	file, err := d.Root.OpenFile(name, flag, perm)
	return file, d.full(err)
}

// Mkdir is that of the root.
func (d *disk) Mkdir(name string, perm os.FileMode) error { return d.full(d.Root.Mkdir(name, perm)) }

// full names the lack of inodes in an error of a call that needs one: "no space left on device" is wrong beside free bytes.
func (d *disk) full(err error) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	root, failed := d.Open(".")
	if failed != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	var stat unix.Statfs_t
	if unix.Fstatfs(int(root.Fd()), &stat) != nil || !lacksInodes(&stat) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoInodes, err)
}

// lacksInodes reports whether a file system that counts inodes has free blocks, but no free inode.
func lacksInodes(stat *unix.Statfs_t) bool {
	return stat.Files > 0 && stat.Ffree == 0 && stat.Bavail > 0
}
