package app

import (
	"github.com/deepimage-receiver/receiver/internal/admin"
	"golang.org/x/sys/unix"
)

// Space is the space that stat counts.
func Space(stat *unix.Statfs_t) (free, total uint64, known bool) { return space(stat) }

// MeasureDisk returns the usage of the disk at path, and an error if it has less than minFree bytes left.
func MeasureDisk(path string, minFree uint64) ([]admin.Disk, error) {
	d := &disk{paths: []string{path}, minFree: minFree}
	return d.usage(), d.measure()
}
