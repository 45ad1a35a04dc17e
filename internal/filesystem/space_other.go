//go:build !linux

package filesystem

import "golang.org/x/sys/unix"

// blockSize is the unit of the counts in stat.
func blockSize(stat *unix.Statfs_t) uint64 { return uint64(stat.Bsize) }
