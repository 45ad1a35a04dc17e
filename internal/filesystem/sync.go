package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNoFolderSync reports a file system that refuses to sync folders: a crash of the machine can lose the names of new files.
var ErrNoFolderSync = errors.New("the file system cannot sync folders")

// SyncFolder makes the names in a folder durable. It returns ErrNoFolderSync if the file system cannot do that.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(SyncOpenFolder(folder, (*os.File).Sync), folder.Close())
}

// TrySyncFolder is SyncFolder where a file system that cannot sync folders is good enough.
func TrySyncFolder(path string) error {
	if err := SyncFolder(path); !errors.Is(err, ErrNoFolderSync) {
		return err
	}
	return nil
}

// SyncOpenFolder is SyncFolder for an open folder. It calls sync.
func SyncOpenFolder(folder *os.File, sync func(*os.File) error) error {
	err := sync(folder)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EOPNOTSUPP) {
		return fmt.Errorf("%w: %w", ErrNoFolderSync, err)
	}
	return err
}

// LacksLinks reports whether an error of a hard link means that the file system has none.
func LacksLinks(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported)
}

// LacksNoReplace reports whether an error of RenameNew means that the file system has no rename that replaces nothing.
func LacksNoReplace(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// Name moves a file to a name that must be free, fs.ErrExist if it is not. Where the file system has neither hard links nor a
// rename that replaces nothing, another program can still lose a file of that name that it creates at the same moment.
func Name(oldname, newname string) error { return nameWith(oldname, newname, os.Link, renameNew) }

func nameWith(oldname, newname string, link, rename func(oldname, newname string) error) error {
	err := link(oldname, newname)
	if err == nil {
		return os.Remove(oldname)
	}
	if !LacksLinks(err) {
		return err
	}
	if err = rename(oldname, newname); !LacksNoReplace(err) {
		return err
	}
	if _, err := os.Lstat(newname); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(oldname, newname)
}

// renameNew renames without replacing anything.
func renameNew(oldname, newname string) error {
	return RenameNewAt(unix.AT_FDCWD, oldname, unix.AT_FDCWD, newname)
}
