//go:build !linux

package blobstore_test

import "errors"

// fillDisk mounts a file system, which only the test for Linux asks for.
func fillDisk() error { return errors.ErrUnsupported }
