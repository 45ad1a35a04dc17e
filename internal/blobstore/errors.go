package blobstore

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrConflict says that the key holds something else already.
var ErrConflict = errors.New("blobstore: the key holds a different object")

// ErrNotFound says that the key holds nothing.
var ErrNotFound = errors.New("blobstore: no such object")

// ErrKey says that nothing can ever be stored under the key: it is malformed,
// names a folder, or lies below a file.
var ErrKey = errors.New("blobstore: unusable key")

// ErrFull says that the disk or the quota has no room left. It passes when room is made.
var ErrFull = errors.New("blobstore: no room left")

// ErrUnsupported says that the bucket, or the kind of its credentials, cannot do what is asked.
var ErrUnsupported = errors.New("blobstore: not supported here")

// ErrTooLarge says that more than MaxBytes were written to a spool.
var ErrTooLarge = errors.New("blobstore: too large")

// failure wraps err, which came from the operating system while we tried to do action.
func failure(action string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %s: %w", ErrFull, action, err)
	}
	return fmt.Errorf("blobstore: %s: %w", action, err)
}
