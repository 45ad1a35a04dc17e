package blobstore

import (
	"errors"
	"os"
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
