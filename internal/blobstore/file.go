package blobstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/deepimage-receiver/receiver/internal/filesystem"
)

// The group may read, so that a web server or a backup can be let in; others
// may not, because results are their owner's pictures. Only this package reads
// what is not checked yet. The umask can take away more. See WithModes.
const (
	filePermissions   = 0o640
	folderPermissions = 0o750
	spoolPermissions  = 0o700
)

// fileBucket keeps objects as files below a folder. All names go through disk,
// so no symbolic link leads outside.
type fileBucket struct {
	path      string // absolute
	options   options
	current   atomic.Pointer[openFolder] // what is at the path, as far as is known
	reopening sync.Mutex
}

func openFileBucket(ctx context.Context, path string, chosen options) (Bucket, error) {
	folder, err := newOpenFolder(ctx, path, chosen)
	if err != nil {
		return nil, err
	}
	b := &fileBucket{path: path, options: chosen}
	b.current.Store(folder)
	return b, nil
}

// Folder returns the path of a bucket that is a folder, or "".
func Folder(bucket Bucket) string {
	if b, ok := bucket.(*fileBucket); ok {
		return b.path
	}
	return ""
}

// folder returns the folder at the bucket's path. If it is another one than before, such as after a remount, it is opened.
func (b *fileBucket) folder(ctx context.Context) (*openFolder, error) {
	if folder := b.current.Load(); folder.isAt(b.path) {
		return folder, nil
	}
	b.reopening.Lock()
	defer b.reopening.Unlock()
	old := b.current.Load()
	if old.isAt(b.path) {
		return old, nil
	}
	folder, err := newOpenFolder(ctx, b.path, b.options)
	if err != nil {
		return nil, err
	}
	b.current.Store(folder)
	_ = old.abandon() // it may be gone, with its device
	return folder, nil
}

// Spool makes an empty file in the bucket's own file system.
func (b *fileBucket) Spool(ctx context.Context) (*Spool, error) {
	if err := ctx.Err(); err != nil {
		return nil, failure("make a spool", err)
	}
	folder, err := b.folder(ctx)
	if err != nil {
		return nil, err
	}
	spool, err := folder.spools.spool()
	return spool, filesystem.Explain(b.path, err)
}

// Put syncs the spooled file, renames it to key and syncs the folder. It
// stops for the context between the steps, but not once the name is given.
func (b *fileBucket) Put(ctx context.Context, key string, spool *Spool, attributes Attributes) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return explain(key, err)
	}
	folder, err := b.folder(ctx)
	if err != nil {
		return err
	}
	if err := folder.check(spool, attributes); err != nil {
		return err
	}
	if err := spool.sync(); err != nil {
		return err
	}
	if err := folder.place(ctx, key, spool, attributes.Unsynced); err != nil {
		return explain(key, filesystem.Explain(b.path, err))
	}
	if !folder.isAt(b.path) {
		return explain(key, errReplaced)
	}
	spool.seal()
	return nil
}

func (f *openFolder) check(spool *Spool, attributes Attributes) error {
	if err := f.spools.own(spool); err != nil {
		return err
	}
	return spool.check(attributes)
}

// Sync makes the names of keys durable. What was put under them in a folder that was replaced since is an error.
func (b *fileBucket) Sync(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	folder, err := b.folder(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := CheckKey(key); err != nil {
			return err
		}
		if err := folder.disk.exists(key); err != nil {
			return explain(key, filesystem.Explain(b.path, err))
		}
	}
	if err := folder.folders.secureAbove(keys); err != nil {
		return explain(keys[0], filesystem.Explain(b.path, err))
	}
	if !folder.isAt(b.path) {
		return explain(keys[0], errReplaced)
	}
	return nil
}

// place moves the synced spool to its key.
func (f *openFolder) place(ctx context.Context, key string, spool *Spool, unsynced bool) error {
	if unsynced {
		return f.placeUnsynced(ctx, key, spool)
	}
	if err := f.folders.makeAbove(ctx, key); err != nil {
		return err
	}
	if err := f.nameOrConfirm(ctx, key, spool); err != nil {
		return err
	}
	return f.folders.sync(path.Dir(key))
}

// placeUnsynced makes folders only where they are not known. Another program may have removed one that is.
func (f *openFolder) placeUnsynced(ctx context.Context, key string, spool *Spool) error {
	for again := true; ; again = false {
		if err := f.folders.makeUnsynced(ctx, key); err != nil {
			return err
		}
		err := f.nameOrConfirm(ctx, key, spool)
		if !errors.Is(err, fs.ErrNotExist) || !again {
			return err
		}
		f.folders.forget(key)
	}
}

// nameOrConfirm sets the name of the spool, or checks that what has the name is the same.
func (f *openFolder) nameOrConfirm(ctx context.Context, key string, spool *Spool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := f.name(ctx, spool.name, key)
	if errors.Is(err, fs.ErrExist) {
		err = f.confirm(ctx, key, spool)
	}
	return err
}

// name renames the spooled file to its key, and never replaces what has that name.
func (f *openFolder) name(ctx context.Context, spooled, key string) error {
	err := f.disk.link(spooled, key)
	if filesystem.LacksLinks(err) {
		err = f.disk.rename(spooled, key)
		if filesystem.LacksNoReplace(err) {
			err = renameLocked(ctx, f.disk, spooled, key)
		}
	}
	return f.disk.full(err)
}

// renameLocked is the last resort: a lock keeps every other receiver from taking the key between the look and the rename. An
// empty file that claims the key would do so too, but a crash would leave it there as an object. Another program can still
// lose a file that it creates under the key in between.
func renameLocked(ctx context.Context, disk *disk, spooled, key string) error {
	guard, err := lockAll(ctx, disk)
	if err != nil {
		return err
	}
	defer func() { _ = guard.Unlock() }()
	_, err = disk.Lstat(key)
	if err == nil {
		return fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return disk.Rename(spooled, key)
}

// confirm checks that the key holds what the spool holds, and syncs that: its
// writer may have crashed, or be just about to sync it.
func (f *openFolder) confirm(ctx context.Context, key string, spool *Spool) error {
	existing, info, err := f.openFile(key)
	if err != nil {
		return err
	}
	defer func() { _ = existing.Close() }()
	same := info.Size() == spool.Size()
	if same {
		same, err = hashes(ctx, existing, spool.SHA256())
	}
	switch {
	case err != nil:
		return err
	case !same:
		return ErrConflict
	}
	return f.disk.sync(existing)
}

// openFile opens the regular file under key. Anything else is not opened: that of a pipe would wait.
func (f *openFolder) openFile(key string) (*os.File, fs.FileInfo, error) {
	info, err := f.disk.Stat(key)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errNotFile
	}
	file, err := f.disk.Open(key)
	return file, info, err
}

// Open opens the file under key. A folder is not an object.
func (b *fileBucket) Open(ctx context.Context, key string) (*Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, explain(key, err)
	}
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	folder, err := b.folder(ctx)
	if err != nil {
		return nil, err
	}
	file, info, err := folder.openFile(key)
	switch {
	case isMissing(err), errors.Is(err, errNotFile):
		return nil, fmt.Errorf("%w: %q", ErrNotFound, key)
	case err != nil:
		return nil, explain(key, err)
	}
	return &Object{ReadCloser: file, Bytes: info.Size()}, nil
}

// Delete removes the file under key, and its folder if nothing else is in it.
func (b *fileBucket) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return explain(key, err)
	}
	if err := CheckKey(key); err != nil {
		return err
	}
	folder, err := b.folder(ctx)
	if err != nil {
		return err
	}
	switch info, err := folder.disk.Lstat(key); {
	case isMissing(err): // an earlier call may have removed it, and not have come to the sync
	case err != nil:
		return explain(key, err)
	case info.IsDir():
		return nil
	default:
		if err := folder.disk.Remove(key); err != nil {
			return explain(key, err)
		}
	}
	if err := folder.folders.sync(path.Dir(key)); err != nil && !isMissing(err) {
		return explain(key, err)
	}
	folder.removeEmpty(path.Dir(key))
	return nil
}

// removeEmpty removes a folder with nothing in it. A link to a folder stays.
func (f *openFolder) removeEmpty(name string) {
	if info, err := f.disk.Lstat(name); name == "." || err != nil || !info.IsDir() {
		return
	}
	if f.disk.Remove(name) == nil {
		f.folders.forget(path.Join(name, "inside"))
	}
}

// isMissing reports whether there is no file under a key, or no folder for it.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// URL returns the file:// URL of the file under key.
func (b *fileBucket) URL(key string) string {
	return fileURL(filepath.Join(b.path, filepath.FromSlash(key)))
}

// SignedURL is not supported: no server serves the folder.
func (b *fileBucket) SignedURL(context.Context, string, time.Duration) (string, error) {
	return "", fmt.Errorf("%w: a folder has no links", ErrUnsupported)
}

// Check stores a file as Put does, but under a name among the spools, and removes it.
func (b *fileBucket) Check(ctx context.Context) error {
	folder, err := b.folder(ctx)
	if err != nil {
		return err
	}
	spool, err := folder.spools.spool()
	if err != nil {
		return err
	}
	stored := spool.name + "-check"
	_, err = io.WriteString(spool, checkKept)
	if err == nil {
		err = spool.sync()
	}
	if err == nil {
		err = folder.name(ctx, spool.name, stored)
	}
	if err == nil {
		err = errors.Join(folder.disk.syncFolder(path.Dir(stored)), folder.disk.Remove(stored))
	}
	if err != nil {
		err = failure("check the bucket's folder", filesystem.Explain(b.path, err))
	}
	return errors.Join(err, spool.Close())
}

// Close removes the spools that were not closed.
func (b *fileBucket) Close() error {
	folder := b.current.Load()
	if !folder.isAt(b.path) {
		_ = folder.abandon()
		return nil
	}
	if err := errors.Join(folder.spools.close(), folder.disk.Close()); err != nil {
		return failure("close the bucket", err)
	}
	return nil
}

var (
	errNotFile  = errors.New("what has this name is not a file")
	errReplaced = errors.New("the bucket's folder was replaced in the meantime")
)

// explain adds the key to an error.
func explain(key string, err error) error {
	switch {
	case errors.Is(err, ErrConflict):
		return fmt.Errorf("%w: %q", ErrConflict, key)
	case errors.Is(err, errNotFile):
		return fmt.Errorf("%w %q: it names a folder or a special file", ErrKey, key)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w %q: a part of its path is a file", ErrKey, key)
	}
	return failure(fmt.Sprintf("%q", key), err)
}

// hashes says whether the SHA-256 of all that r returns is want, in hexadecimal.
func hashes(ctx context.Context, r io.Reader, want string) (bool, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, reader{ctx, r}); err != nil {
		return false, err
	}
	return hex.EncodeToString(sum.Sum(nil)) == want, nil
}

// reader reads until the context ends.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
