package blobstore

import (
	"crypto/sha256"
	"crypto/x509"
	"net/url"
	"os"
	"syscall"
	"time"
)

// SpoolInto makes a spool whose content goes into a given file.
func SpoolInto(file *os.File) *Spool { return &Spool{file: file, sum: sha256.New()} }

// Truncate cuts the file of a spool, as a failing disk might.
func Truncate(spool *Spool, size int64) error { return spool.file.Truncate(size) }

// Forget changes a byte of a spool's file, as a failing disk might.
func Forget(spool *Spool, offset int64) error {
	_, err := spool.file.WriteAt([]byte{'?'}, offset)
	return err
}

// WithPartBytes sets the sizes of the largest object that goes up in one request and of each part of a larger one.
func WithPartBytes(single, part int64) Option {
	return func(o *options) { o.limits.single, o.limits.part = single, part }
}

// WithoutRetries lets every request be sent once, so that a test need not wait.
func WithoutRetries() Option {
	return func(o *options) { o.limits.retries = 1 }
}

// WithRoots sets who may vouch for a service.
func WithRoots(roots *x509.CertPool) Option {
	return func(o *options) { o.roots = roots }
}

// WithStall sets how long a connection may move nothing.
func WithStall(stall time.Duration) Option {
	return func(o *options) { o.limits.stall = stall }
}

// WithoutLinks makes a file bucket behave as on a file system that has no hard links.
func WithoutLinks(bucket Bucket) Bucket {
	bucket.(*fileBucket).current.Load().disk.link = func(oldname, newname string) error {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: syscall.EPERM}
	}
	return bucket
}

// WithoutHeldFolders makes a file bucket behave as where the kernel cannot open a path below a folder in one call.
func WithoutHeldFolders(bucket Bucket) Bucket {
	disk := bucket.(*fileBucket).current.Load().disk
	for _, folder := range disk.held {
		_ = folder.Close()
	}
	disk.held = nil
	return bucket
}

// WithoutRenames is WithoutLinks on a file system that has no rename either that replaces nothing.
func WithoutRenames(bucket Bucket) Bucket {
	bucket.(*fileBucket).current.Load().disk.rename = func(oldname, newname string) error {
		return &os.LinkError{Op: "renameat2", Old: oldname, New: newname, Err: syscall.EINVAL}
	}
	return WithoutLinks(bucket)
}

// Watch lets a test see what a file bucket syncs and links, by absolute path,
// before it is done; an error from before is given instead.
func Watch(bucket Bucket, before func(call, name string) error) {
	disk := bucket.(*fileBucket).current.Load().disk
	link, sync := disk.link, disk.sync
	disk.link = func(oldname, newname string) error {
		if err := before("link", newname); err != nil {
			return err
		}
		return link(oldname, newname)
	}
	disk.sync = func(file *os.File) error {
		if err := before("sync", file.Name()); err != nil {
			return err
		}
		return sync(file)
	}
}

// SignGCS makes a link with a private key in PEM.
func SignGCS(endpoint *url.URL, email string, key []byte, bucket, name string, at time.Time, expiry time.Duration) (string, error) {
	signer, err := newGCSKey(email, key)
	if err != nil {
		return "", err
	}
	return signer.sign(gcsLink{endpoint: endpoint, bucket: bucket, name: name, at: at, expiry: expiry})
}
