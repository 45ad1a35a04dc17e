package filesystem

import "golang.org/x/sys/unix"

// RenameNewAt moves a file, between two open folders, to a name that must be free. LacksNoReplace recognizes the error of a file
// system that cannot do that.
func RenameNewAt(from int, oldname string, to int, newname string) error {
	return unix.Renameat2(from, oldname, to, newname, unix.RENAME_NOREPLACE)
}
