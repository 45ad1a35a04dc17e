package filesystem

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// SpaceOf exports spaceOf.
func SpaceOf(stat *unix.Statfs_t) Space { return spaceOf(stat) }

// NameWith is Name on a file system whose calls fail as given.
func NameWith(oldname, newname string, link, rename func(oldname, newname string) error) error {
	return nameWith(oldname, newname, link, rename)
}

// RenameNew exports renameNew.
func RenameNew(oldname, newname string) error { return renameNew(oldname, newname) }

// MakeFolderWith is MakeFolder with another way to sync.
func MakeFolderWith(path string, mode fs.FileMode, sync func(path string) error) error {
	return makeFolder(path, mode, sync)
}
