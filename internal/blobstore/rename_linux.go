package blobstore

import (
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// renameNoReplace moves a file to a name that must be free. The error is EINVAL or errors.ErrUnsupported if the file system
// cannot do that.
func renameNoReplace(root *os.Root, oldname, newname string) error {
	from, err := root.Open(path.Dir(oldname))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := root.Open(path.Dir(newname))
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	return unix.Renameat2(int(from.Fd()), path.Base(oldname), int(to.Fd()), path.Base(newname), unix.RENAME_NOREPLACE)
}
