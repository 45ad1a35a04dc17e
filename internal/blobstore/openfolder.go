package blobstore

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
)

// openFolder is the folder of a file bucket while it is open. Another folder can take its place at the bucket's path.
type openFolder struct {
	disk    *disk
	info    fs.FileInfo // identifies it, by device and inode
	folders *folders
	spools  *spools
}

// newOpenFolder opens the folder at an absolute path, and makes it if it is missing.
func newOpenFolder(ctx context.Context, path string, chosen options) (*openFolder, error) {
	root, err := makeRoot(path, chosen.modes)
	if err != nil {
		return nil, failure("open the bucket's folder", filesystem.Explain(path, err))
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(failure("open the bucket's folder", err), root.Close())
	}
	disk := newDisk(root)
	disk.warn, disk.modes = chosen.warn, chosen.modes
	spools, err := openSpools(ctx, disk)
	if err != nil {
		return nil, errors.Join(filesystem.Explain(path, err), root.Close())
	}
	if err := disk.hold(".", spools.folder); err != nil {
		return nil, errors.Join(failure("open the bucket's folder", err), spools.remove(), disk.Close())
	}
	return &openFolder{disk: disk, info: info, folders: newFolders(disk), spools: spools}, nil
}

// isAt reports whether the folder is still the one at the path. If that cannot be found out, it is.
func (f *openFolder) isAt(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return os.SameFile(info, f.info)
}

// abandon closes a folder that is no longer at its path, and removes its spools. The lock of all spools, which has a path,
// would be that of another folder.
func (f *openFolder) abandon() error {
	return errors.Join(f.spools.remove(), f.disk.Close())
}
