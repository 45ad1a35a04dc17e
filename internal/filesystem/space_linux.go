package filesystem

import "golang.org/x/sys/unix"

// blockSize is the unit of the counts in stat: the fragment size, or the block size where there are no fragments.
func blockSize(stat *unix.Statfs_t) uint64 {
	if stat.Frsize > 0 {
		return uint64(stat.Frsize)
	}
	return uint64(max(stat.Bsize, 0))
}
