package databasetest

import (
	"flag"
	"os"

	"golang.org/x/sys/unix"
)

const (
	memoryFolder = "/dev/shm"
	memoryNeeded = 4 << 30 // bytes; no package's tests come near it
)

// UseMemory has what the tests of this process write kept in memory, where there is room for it, so that nobody waits for a
// disk: a process that is killed, or a server, loses as little there as on a disk. TestMain calls it. Whoever
// measures keeps the disk: benchmarks, and those who set TMPDIR.
func UseMemory() {
	flag.Parse()
	if measuring := flag.Lookup("test.bench"); os.Getenv("TMPDIR") != "" || measuring != nil && measuring.Value.String() != "" {
		return
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(memoryFolder, &stat); err != nil || stat.Bavail*uint64(stat.Bsize) < memoryNeeded {
		return
	}
	_ = os.Setenv("TMPDIR", memoryFolder) // if not, the disk does as well
}
