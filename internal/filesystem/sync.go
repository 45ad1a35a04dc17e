package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// MakeFolder makes a folder with the folders above it, unless it exists, and makes its name durable. A crash can have come between
// the two, so it also syncs the folder above one that exists, as far as that is possible.
func MakeFolder(path string, mode fs.FileMode) error { return makeFolder(path, mode, TrySyncFolder) }

func makeFolder(path string, mode fs.FileMode, sync func(path string) error) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	above := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		_ = sync(above) // it can be the folder of another user, or read-only
		return nil
	}
	if above != path {
		if err := makeFolder(above, mode, sync); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	} else if err != nil { // made by another process at the same moment, or a file
		if info, statErr := os.Stat(path); statErr != nil || !info.IsDir() {
			return err
		}
	}
	return sync(above)
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
