//go:build !linux

package blobstore

import (
	"errors"
	"os"
)

// renameNoReplace has no portable way: elsewhere a rename replaces what is there.
func renameNoReplace(*os.Root, string, string) error {
	return errors.ErrUnsupported
}
