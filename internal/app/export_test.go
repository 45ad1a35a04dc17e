package app

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/gofrs/flock"
	"github.com/rs/zerolog"
)

// MeasureDisk returns the usage of the disk at path, and an error if it has less than minFree bytes left.
func MeasureDisk(path string, minFree uint64) ([]admin.Disk, error) {
	d := &disk{paths: []string{path}, minFree: minFree}
	return d.usage(), d.measure()
}

// Unavailable returns the detail of the answer to a callback that is refused because of a folder.
func Unavailable(path string, minFree uint64) string {
	d := &disk{paths: []string{path}, minFree: minFree}
	err := d.measure()
	if err == nil {
		return ""
	}
	if answer, ok := errors.AsType[*problem.Error](d.unavailable(err)); ok {
		return answer.Detail
	}
	return err.Error()
}

// CheckFolder checks a folder of images.
func CheckFolder(ctx context.Context, path string, minFree uint64) error {
	return newFolderCheck(path, minFree).run(ctx)
}

// StartCheck exports startCheck.
func (a *App) StartCheck(check func(ctx context.Context) error) { a.startCheck(check) }

// DataFolder exports dataFolder.
type DataFolder struct{ *dataFolder }

// OpenDataFolder exports openDataFolder.
func OpenDataFolder(path string) (DataFolder, error) {
	folder, err := openDataFolder(path)
	return DataFolder{folder}, err
}

// RestoreLock exports restoreLock.
func (d DataFolder) RestoreLock() error { return d.restoreLock() }

// Close exports close.
func (d DataFolder) Close() error { return d.close() }

// LockFile exports lockFile.
func LockFile(folder string) (*flock.Flock, error) { return lockFile(folder) }

// ClockWentBack makes the receiver believe that it looked at the clock of the database while that was ahead by d.
func (a *App) ClockWentBack(ctx context.Context, d time.Duration) error {
	reading, err := a.clock.db.ReadClock(ctx)
	if err != nil {
		return err
	}
	ahead := reading.Shifted(d)
	_, err = a.clock.db.Writer.ExecContext(ctx, "UPDATE clock SET seen_at = $1", ahead.Time().UnixMicro())
	a.clock.db.AdoptClock(ahead)
	return err
}

// SkewWarnings returns what warns of a difference of the clocks after each reading.
func SkewWarnings(db *database.DB, log zerolog.Logger) func() {
	return newTimekeeper(&App{log: log}, db).warn
}
