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
	memoryNeeded = 4 << 30 // bytes; far more than the tests of any package use
	parallel     = 4       // tests that run in parallel; most of them wait most of the time
)

// Prepare makes the tests of this process faster; TestMain calls it. More tests run in parallel than there are processors, and
// temporary files are in memory if there is enough of it: a killed process loses as little there as on a disk. Benchmarks, and runs
// with TMPDIR set, keep using the disk.
func Prepare() {
	flag.Parse()
	if valueOf("test.parallel") == strconv.Itoa(runtime.GOMAXPROCS(0)) { // the default
		_ = flag.Set("test.parallel", strconv.Itoa(max(parallel, runtime.GOMAXPROCS(0)))) // a number is valid
	}
	var stat unix.Statfs_t
	switch {
	case os.Getenv("TMPDIR") != "" || valueOf("test.bench") != "":
	case unix.Statfs(memoryFolder, &stat) != nil || stat.Bavail*uint64(stat.Bsize) < memoryNeeded:
	default:
		_ = os.Setenv("TMPDIR", memoryFolder) // on failure the disk is used
	}
}

func valueOf(name string) string {
	if found := flag.Lookup(name); found != nil {
		return found.Value.String()
	}
	return ""
}
