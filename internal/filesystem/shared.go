package filesystem

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// FindSharing returns who else can write to a folder, and so replace or delete what is in it: a part of a sentence, "" without any other user. The
// own groups of this process and group 0, which containers with an arbitrary user have, are not others.
func FindSharing(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	const group, others = 0o020, 0o002
	if info.Mode()&others != 0 {
		return "every user of this machine can write to " + path + fmt.Sprintf(" (mode %04o)", modeBits(info)), nil
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&group == 0 || stat.Gid == 0 || int(stat.Gid) == os.Getegid() {
		return "", nil
	}
	own, err := os.Getgroups()
	if err != nil || slices.Contains(own, int(stat.Gid)) {
		return "", err
	}
	return fmt.Sprintf("the members of group %d can write to %s (mode %04o)", stat.Gid, path, modeBits(info)), nil
}

// modeBits returns the mode as chmod writes it.
func modeBits(info fs.FileInfo) uint32 {
	const sticky = 0o1000
	bits := uint32(info.Mode().Perm())
	if info.Mode()&fs.ModeSticky != 0 {
		bits |= sticky
	}
	return bits
}
