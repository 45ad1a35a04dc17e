//go:build linux

// Package faultfs is a file system for tests, of programs as they are: it mounts a folder, lets chosen calls fail, and remembers
// which writes and names were synced, so that a power loss can drop any of the others. It needs /dev/fuse and root.
package faultfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Call is a kind of system call that changes a file system.
type Call string

// Every kind.
const (
	Create Call = "create" // of a file or folder
	Link   Call = "link"
	Remove Call = "remove"
	Rename Call = "rename"
	Write  Call = "write" // truncating included
	Sync   Call = "sync"  // of a file or folder
)

// Fault returns the error of a call on a path below the mount, or 0 to let it succeed.
type Fault func(call Call, name string) syscall.Errno

// Mount is a mounted file system. It is safe for concurrent use.
type Mount struct {
	folder string // where the content is
	server *fuse.Server

	mutex sync.Mutex
	fault Fault
	cut   bool
	disk  disk
}

// Open mounts folder at point; both exist. All that folder has counts as synced. The error wraps errors.ErrUnsupported where this
// machine or user cannot mount.
func Open(folder, point string) (*Mount, error) {
	m := &Mount{folder: folder, disk: newDisk()}
	var found syscall.Stat_t
	if err := syscall.Stat(folder, &found); err != nil {
		return nil, err
	}
	root := &fs.LoopbackRoot{Path: folder, Dev: found.Dev}
	if err := m.disk.load(folder); err != nil {
		return nil, err
	}
	if file, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	} else if err := file.Close(); err != nil {
		return nil, err
	}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, mount: m}
	root.RootNode = top
	options := &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "faultfs", Name: "faultfs"}}
	server, err := fs.Mount(point, top, options)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENODEV) {
		return nil, fmt.Errorf("%w: mount: %w", errors.ErrUnsupported, err)
	} else if err != nil {
		return nil, fmt.Errorf("faultfs: mount: %w", err)
	}
	m.server = server
	return m, nil
}

// Fail makes calls fail from now on; nil ends that.
func (m *Mount) Fail(fault Fault) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.fault = fault
}

// Cut is the loss of power: from now on every call fails that would change something.
func (m *Mount) Cut() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.cut = true
}

// Close unmounts the file system. No process may use it.
func (m *Mount) Close() error { return m.server.Unmount() }

// change does a call and records it, or returns its fault.
func (m *Mount) change(call Call, name string, do func() syscall.Errno, record func(d *disk)) syscall.Errno {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.cut {
		return syscall.EIO
	}
	if m.fault != nil {
		if errno := m.fault(call, name); errno != 0 {
			return errno
		}
	}
	errno := do()
	if errno == 0 {
		record(&m.disk)
	}
	return errno
}

// node is a file or folder.
type node struct {
	fs.LoopbackNode
	mount *Mount
}

// WrapChild returns the node of a file or folder that the loopback has made.
func (n *node) WrapChild(context.Context, fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: fs.LoopbackNode{RootData: n.RootData}, mount: n.mount}
}

// name returns the path below the mount; "" for its top.
func (n *node) name() string { return n.Path(n.Root()) }

func (n *node) child(name string) string { return path.Join(n.name(), name) }

func (n *node) id() id { return idOf(n.EmbeddedInode()) }

func idOf(inode *fs.Inode) id {
	attributes := inode.StableAttr()
	return id{attributes.Ino, attributes.Gen}
}

// Lookup finds a file or folder.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	found, errno := n.LoopbackNode.Lookup(ctx, name, out)
	if errno == 0 {
		n.mount.mutex.Lock()
		defer n.mount.mutex.Unlock()
		n.mount.disk.adopt(n.child(name), found)
	}
	return found, errno
}

// Mkdir creates a folder.
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (made *fs.Inode, errno syscall.Errno) {
	errno = n.mount.change(Create, n.child(name), func() (errno syscall.Errno) {
		made, errno = n.LoopbackNode.Mkdir(ctx, name, mode, out)
		return errno
	}, func(d *disk) { d.add(n.child(name), idOf(made), true) })
	return made, errno
}

// Create creates and opens a file.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (
	made *fs.Inode, handle fs.FileHandle, fuseFlags uint32, errno syscall.Errno,
) {
	errno = n.mount.change(Create, n.child(name), func() (errno syscall.Errno) {
		made, handle, fuseFlags, errno = n.LoopbackNode.Create(ctx, name, flags, mode, out)
		return errno
	}, func(d *disk) { d.add(n.child(name), idOf(made), false) })
	return made, wrap(handle), fuseFlags, errno
}

// Link adds a name.
func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (made *fs.Inode, errno syscall.Errno) {
	errno = n.mount.change(Link, n.child(name), func() (errno syscall.Errno) {
		made, errno = n.LoopbackNode.Link(ctx, target, name, out)
		return errno
	}, func(d *disk) { d.add(n.child(name), idOf(target.EmbeddedInode()), false) })
	return made, errno
}

// Unlink removes a name.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.mount.change(Remove, n.child(name), func() syscall.Errno { return n.LoopbackNode.Unlink(ctx, name) },
		func(d *disk) { d.remove(n.child(name)) })
}

// Rmdir removes a folder.
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.mount.change(Remove, n.child(name), func() syscall.Errno { return n.LoopbackNode.Rmdir(ctx, name) },
		func(d *disk) { d.remove(n.child(name)) })
}

// Rename moves a name. Exchanges are not supported.
func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	target, ok := to.(*node)
	if !ok || flags != 0 {
		return syscall.EINVAL
	}
	return n.mount.change(Rename, n.child(name), func() syscall.Errno { return n.LoopbackNode.Rename(ctx, name, to, newName, flags) },
		func(d *disk) { d.rename(n.child(name), target.child(newName)) })
}

// Open opens a file.
func (n *node) Open(ctx context.Context, flags uint32) (handle fs.FileHandle, fuseFlags uint32, errno syscall.Errno) {
	if flags&syscall.O_TRUNC == 0 {
		handle, fuseFlags, errno = n.LoopbackNode.Open(ctx, flags)
		return wrap(handle), fuseFlags, errno
	}
	errno = n.mount.change(Write, n.name(), func() (errno syscall.Errno) {
		handle, fuseFlags, errno = n.LoopbackNode.Open(ctx, flags)
		return errno
	}, func(d *disk) { d.truncate(n.id(), 0) })
	return wrap(handle), fuseFlags, errno
}

// Write writes to an open file.
func (n *node) Write(ctx context.Context, handle fs.FileHandle, data []byte, offset int64) (written uint32, errno syscall.Errno) {
	writer, ok := handle.(fs.FileWriter)
	if !ok {
		return 0, syscall.EBADF
	}
	errno = n.mount.change(Write, n.name(), func() (errno syscall.Errno) {
		written, errno = writer.Write(ctx, data, offset)
		return errno
	}, func(d *disk) { d.write(n.id(), data[:written], offset) })
	return written, errno
}

// Setattr changes the size and attributes.
func (n *node) Setattr(ctx context.Context, handle fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, truncates := in.GetSize()
	if !truncates {
		return n.LoopbackNode.Setattr(ctx, handle, in, out)
	}
	return n.mount.change(Write, n.name(), func() syscall.Errno { return n.LoopbackNode.Setattr(ctx, handle, in, out) },
		func(d *disk) { d.truncate(n.id(), int64(size)) })
}

// Fsync syncs a file: only what is recorded matters.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return n.mount.change(Sync, n.name(), func() syscall.Errno { return 0 }, func(d *disk) { d.syncFile(n.id()) })
}

// OpendirHandle opens a folder.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	handle, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if stream, ok := handle.(fs.DirStream); ok {
		return &folderHandle{stream, n}, fuseFlags, errno
	}
	return handle, fuseFlags, errno
}

// Allocate is not supported: programs write instead.
func (n *node) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.ENOTSUP
}

// CopyFileRange is not supported: programs write instead.
func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}

// Tmpfile is not supported: programs create files with names instead.
func (n *node) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.ENOTSUP
}

// folderHandle is an open folder.
type folderHandle struct {
	fs.DirStream
	node *node
}

// Readdirent returns the next entry.
func (h *folderHandle) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if !h.HasNext() {
		return nil, 0
	}
	entry, errno := h.Next()
	return &entry, errno
}

// Seekdir starts again.
func (h *folderHandle) Seekdir(ctx context.Context, offset uint64) syscall.Errno {
	if seeker, ok := h.DirStream.(fs.FileSeekdirer); ok {
		return seeker.Seekdir(ctx, offset)
	}
	return syscall.ENOTSUP
}

// Releasedir closes the folder.
func (h *folderHandle) Releasedir(context.Context, uint32) { h.Close() }

// Fsyncdir syncs the names in the folder.
func (h *folderHandle) Fsyncdir(context.Context, uint32) syscall.Errno {
	name := h.node.name()
	return h.node.mount.change(Sync, name, func() syscall.Errno { return 0 }, func(d *disk) { d.syncFolder(name) })
}

// fileHandle is an open file whose writes the kernel does not hide from this process.
type fileHandle struct{ *fs.LoopbackFile }

// PassthroughFd returns no descriptor.
func (fileHandle) PassthroughFd() (int, bool) { return 0, false }

func wrap(handle fs.FileHandle) fs.FileHandle {
	if file, ok := handle.(*fs.LoopbackFile); ok && file != nil {
		return &fileHandle{file}
	}
	return handle
}

// Recover writes into folder what a disk may hold after the power loss: all that was synced, and of the rest what keep chooses.
func (m *Mount) Recover(folder string, keep func() bool) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for name, found := range m.disk.survivors(keep) {
		target := filepath.Join(folder, filepath.FromSlash(name))
		if found.folder {
			if err := os.MkdirAll(target, 0o750); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(target, m.disk.content(found.id, keep), 0o600); err != nil {
			return err
		}
	}
	return nil
}
