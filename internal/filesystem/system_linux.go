package filesystem

import "golang.org/x/sys/unix"

// RenameNewAt moves a file, between two open folders, to a name that must be free. LacksNoReplace recognizes the error of a file
// system that cannot do that.
func RenameNewAt(from int, oldname string, to int, newname string) error {
	return unix.Renameat2(from, oldname, to, newname, unix.RENAME_NOREPLACE)
}

// OpenBelow opens a name below an open folder in one call. It fails for a name that a link leads outside of the folder, and where the
// kernel or its filter lacks the call.
func OpenBelow(folder int, name string, flags int, perm uint32) (descriptor int, err error) {
	how := unix.OpenHow{
		Flags: uint64(flags | unix.O_CLOEXEC | unix.O_LARGEFILE), Mode: uint64(perm),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		if descriptor, err = unix.Openat2(folder, name, &how); err != unix.EINTR {
			return descriptor, err
		}
	}
}

// blockSize is the unit of the counts in stat: the fragment size, or the block size where there are no fragments.
func blockSize(stat *unix.Statfs_t) uint64 {
	if stat.Frsize > 0 {
		return uint64(stat.Frsize)
	}
	return uint64(max(stat.Bsize, 0))
}
