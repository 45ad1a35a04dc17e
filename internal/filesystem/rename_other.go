//go:build !linux

package filesystem

import "errors"

// RenameNewAt is not supported.
func RenameNewAt(int, string, int, string) error { return errors.ErrUnsupported }
