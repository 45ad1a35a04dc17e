// Package filesystem returns what a file system has left and what it cannot do, and explains its refusals.
package filesystem

import (
	"fmt"
	"math"
	"math/bits"

	"golang.org/x/sys/unix"
)

// Space is what a file system has left for ordinary users.
type Space struct {
	Free, Total uint64 // bytes; the largest number if there are more
	Known       bool   // some file systems do not count their blocks: Free and Total are 0 then
	FreeInodes  uint64 // how many more files it can hold; 0 unless it counts them
	HasInodes   bool   // it counts inodes
}

// NoInodes reports whether the file system can hold no more files.
func (s Space) NoInodes() bool { return s.HasInodes && s.FreeInodes == 0 }

// SpaceAt returns the space of the file system with the file or folder at path.
func SpaceAt(path string) (Space, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return Space{}, fmt.Errorf("free space of %s: %w", path, err)
	}
	return spaceOf(&stat), nil
}

// spaceOf computes what stat counts in blocks. A file system without any blocks does not count them.
func spaceOf(stat *unix.Statfs_t) Space {
	space := Space{}
	if stat.Files > 0 {
		space.HasInodes, space.FreeInodes = true, stat.Ffree
	}
	size := blockSize(stat)
	if stat.Blocks == 0 || size == 0 {
		return space
	}
	space.Free, space.Total, space.Known = saturatingProduct(stat.Bavail, size), saturatingProduct(stat.Blocks, size), true
	return space
}

// saturatingProduct returns a × b, or the largest number if that overflows.
func saturatingProduct(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high > 0 {
		return math.MaxUint64
	}
	return low
}
