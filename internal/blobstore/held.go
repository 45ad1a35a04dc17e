package blobstore

import (
	"errors"
	"os"
	"path"
	"syscall"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"golang.org/x/sys/unix"
)

// os.Root opens each folder on the way to a name, for every call. The kernel can do that in one call, with the same check that no
// link leads outside. What it refuses, or cannot do, is done again with os.Root, whose error counts.

// heldFolder is a folder that stays open.
type heldFolder struct {
	*os.File

	raw syscall.RawConn // keeps the descriptor valid during a call
}

// hold keeps the folders open that are used for every file. "." must be one of them. It must be called before the disk is shared.
func (d *disk) hold(names ...string) error {
	held := make(map[string]heldFolder, len(names))
	for _, name := range names {
		file, err := d.Open(name)
		if err != nil {
			return err
		}
		raw, err := file.SyscallConn()
		if err != nil {
			return err
		}
		held[name] = heldFolder{file, raw}
	}
	d.held = held
	return nil
}

// Close closes the root and the folders that are kept open.
func (d *disk) Close() error {
	err := d.Root.Close()
	for _, folder := range d.held {
		err = errors.Join(err, folder.Close())
	}
	return err
}

// from calls do with the open folder above a name that is nearest to it, and with the rest of the name.
func (d *disk) from(name string, do func(folder int, rest string) error) error {
	folder, rest := d.held[path.Dir(name)], path.Base(name)
	if folder.raw == nil {
		folder, rest = d.held["."], name
	}
	if folder.raw == nil {
		return errors.ErrUnsupported
	}
	var err error
	failed := folder.raw.Control(func(descriptor uintptr) { err = do(int(descriptor), rest) })
	return errors.Join(failed, err)
}

// within calls do with the open folder that holds a name, and with the last part of the name.
func (d *disk) within(name string, do func(folder int, base string) error) error {
	return d.from(name, func(folder int, rest string) error {
		if path.Dir(rest) == "." {
			return do(folder, rest)
		}
		above, err := filesystem.OpenBelow(folder, path.Dir(rest), unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(above) }()
		return do(above, path.Base(rest))
	})
}

// open is os.OpenFile for a name.
func (d *disk) open(name string, flag int, perm os.FileMode) (*os.File, error) {
	var descriptor int
	err := d.from(name, func(folder int, rest string) (err error) {
		descriptor, err = filesystem.OpenBelow(folder, rest, flag, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return d.Root.OpenFile(name, flag, perm)
	}
	return os.NewFile(uintptr(descriptor), d.Name()+"/"+name), nil
}

// OpenFile opens a file.
func (d *disk) OpenFile(name string, flag int, perm os.FileMode) (*os.File, error) {
	file, err := d.open(name, flag, perm)
	return file, d.full(err)
}

// Mkdir makes a folder.
func (d *disk) Mkdir(name string, perm os.FileMode) error {
	err := d.within(name, func(folder int, base string) error { return unix.Mkdirat(folder, base, uint32(perm.Perm())) })
	if err != nil {
		err = d.Root.Mkdir(name, perm)
	}
	return d.full(err)
}

// Remove removes a file.
func (d *disk) Remove(name string) error {
	err := d.within(name, func(folder int, base string) error { return unix.Unlinkat(folder, base, 0) })
	if err != nil {
		err = d.Root.Remove(name)
	}
	return err
}

// exists returns an error if there is nothing under a name.
func (d *disk) exists(name string) error {
	err := d.within(name, func(folder int, base string) error {
		var found unix.Stat_t
		return unix.Fstatat(folder, base, &found, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		_, err = d.Lstat(name)
	}
	return err
}

// addLink adds a second name to a file, unless it is taken.
func (d *disk) addLink(oldname, newname string) error {
	err := d.within(oldname, func(from int, oldbase string) error {
		return d.within(newname, func(to int, newbase string) error { return unix.Linkat(from, oldbase, to, newbase, 0) })
	})
	if err != nil {
		err = d.Link(oldname, newname)
	}
	return err
}
