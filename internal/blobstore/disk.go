package blobstore

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk is a folder whose names cannot lead outside of it. Tests replace the two calls that durability depends on.
type disk struct {
	*os.Root
	link func(oldname, newname string) error // adds a second name to a file, unless it is taken
	sync func(*os.File) error                // returns when a file's content, or a folder's names, survive a crash
}

func newDisk(root *os.Root) *disk {
	return &disk{Root: root, link: root.Link, sync: (*os.File).Sync}
}

// syncFolder makes the names in a folder durable.
func (d *disk) syncFolder(name string) error {
	folder, err := d.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.sync(folder), folder.Close())
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
