package blobstore

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrConflict means that the key holds other content.
var ErrConflict = errors.New("blobstore: the key holds a different object")

// ErrNotFound means that the key holds nothing.
var ErrNotFound = errors.New("blobstore: no such object")

// ErrKey means that nothing can be stored under the key: it is malformed,
// names a folder, or lies below a file.
var ErrKey = errors.New("blobstore: unusable key")

// ErrFull means that the disk or the quota is full.
var ErrFull = errors.New("blobstore: no space left")

// ErrNoInodes is the ErrFull of a file system that has free bytes, but can hold no more files.
var ErrNoInodes error = noInodes{}

type noInodes struct{}

// Error returns the text.
func (noInodes) Error() string { return "no inodes left" }

// Is makes it an ErrFull.
func (noInodes) Is(target error) bool { return target == ErrFull }

// ErrDenied means that the service refuses the credentials, or that they lack a permission.
var ErrDenied = errors.New("blobstore: access denied")

// ErrUnsupported means that the bucket or its kind of credentials cannot do this.
var ErrUnsupported = errors.New("blobstore: not supported here")

// ErrTooLarge means that more than MaxBytes were written to a spool.
var ErrTooLarge = errors.New("blobstore: too large")

// failure wraps an error of the operating system with the action that failed.
func failure(action string, err error) error {
	if errors.Is(err, ErrNoInodes) {
		return fmt.Errorf("blobstore: %s: %w", action, err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %s: %w", ErrFull, action, err)
	}
	return fmt.Errorf("blobstore: %s: %w", action, err)
}
