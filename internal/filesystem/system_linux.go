package filesystem

import "golang.org/x/sys/unix"

// RenameNewAt moves a file, between two open folders, to a name that must be free. LacksNoReplace recognizes the error of a file
// system that cannot do that.
func RenameNewAt(from int, oldname string, to int, newname string) error {
	return unix.Renameat2(from, oldname, to, newname, unix.RENAME_NOREPLACE)
}

// blockSize is the unit of the counts in stat: the fragment size, or the block size where there are no fragments.
func blockSize(stat *unix.Statfs_t) uint64 {
	if stat.Frsize > 0 {
		return uint64(stat.Frsize)
	}
	return uint64(max(stat.Bsize, 0))
}
