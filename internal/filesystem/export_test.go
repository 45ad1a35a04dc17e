package filesystem

import "golang.org/x/sys/unix"

// SpaceOf exports spaceOf.
func SpaceOf(stat *unix.Statfs_t) Space { return spaceOf(stat) }

// NameWith is Name on a file system whose calls fail as given.
func NameWith(oldname, newname string, link, rename func(oldname, newname string) error) error {
	return nameWith(oldname, newname, link, rename)
}

// RenameNew exports renameNew.
func RenameNew(oldname, newname string) error { return renameNew(oldname, newname) }
