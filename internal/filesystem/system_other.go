//go:build !linux

package filesystem

import (
	"errors"

	"golang.org/x/sys/unix"
)

// RenameNewAt is not supported.
func RenameNewAt(int, string, int, string) error { return errors.ErrUnsupported }

// OpenBelow is not supported.
func OpenBelow(int, string, int, uint32) (int, error) { return -1, errors.ErrUnsupported }

// blockSize is the unit of the counts in stat.
func blockSize(stat *unix.Statfs_t) uint64 { return uint64(stat.Bsize) }
