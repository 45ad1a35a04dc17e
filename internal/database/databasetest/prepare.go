package databasetest

import (
	"flag"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	memoryFolder = "/dev/shm"
	memoryNeeded = 4 << 30 // bytes; no package's tests come near it
	atOnce       = 4       // tests for two processors: most of them wait for something most of the time
)

// Prepare has the tests of this process wait as little as can be; TestMain calls it. More of them run at once than there are
// processors. And what they write is kept in memory, where there is room for it: a process or a server that is killed loses
// as little there as on a disk. Whoever measures keeps the disk: benchmarks, and those who set TMPDIR.
func Prepare() {
	flag.Parse()
	if valueOf("test.parallel") == strconv.Itoa(runtime.GOMAXPROCS(0)) { // nobody has set it
		_ = flag.Set("test.parallel", strconv.Itoa(max(atOnce, runtime.GOMAXPROCS(0)))) // a number is right
	}
	var stat unix.Statfs_t
	switch {
	case os.Getenv("TMPDIR") != "" || valueOf("test.bench") != "":
	case unix.Statfs(memoryFolder, &stat) != nil || stat.Bavail*uint64(stat.Bsize) < memoryNeeded:
	default:
		_ = os.Setenv("TMPDIR", memoryFolder) // if not, the disk does as well
	}
}

func valueOf(name string) string {
	if found := flag.Lookup(name); found != nil {
		return found.Value.String()
	}
	return ""
}
