// Package blobstore stores whole objects under keys: written once, atomically and durably, never overwritten, in a folder or
// in a bucket of an object store. Content is first spooled to a local file, where it can be checked; only then it gets its
// name.
package blobstore

import (
	"context"
	"io"
	"time"
)

// Bucket is a store of objects. It is safe for concurrent use.
type Bucket interface {
	Reader
	Writer
	// Close releases the resources of the bucket. No call may be in progress and no object open.
	io.Closer
}

// Reader reads objects.
type Reader interface {
	// Open opens the object under key, or returns ErrNotFound. The object can be read until the context ends.
	Open(ctx context.Context, key string) (*Object, error)
	// URL returns the URL of key, without credentials.
	URL(key string) string
	// SignedURL returns a link that returns anyone the object under key until expiry (1 second to 7 days) has passed, and is
	// therefore a secret. It does not check that the object exists. The error is ErrUnsupported if the bucket or its kind of
	// credentials cannot sign links.
	SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error)
}

// Writer stores objects.
type Writer interface {
	// Spool creates an empty local file for content that is not checked yet. The caller closes it.
	Spool(ctx context.Context) (*Spool, error)
	// Put stores the content of the spool under key and returns when it is durable: after a crash the key holds the whole
	// content or nothing. If the key holds the same content already, Put succeeds and leaves it; if it holds other content,
	// the error is ErrConflict. After a conflict, or any error but one of the disk below the spool, the spool can be put
	// again, also under another key. After an error the whole object may exist, if the response of a service got lost.
	// Other errors: ErrKey, ErrFull.
	Put(ctx context.Context, key string, spool *Spool, attributes Attributes) error
	// Sync makes the names of objects durable that were put Unsynced. After an error any of them may be lost in a crash.
	Sync(ctx context.Context, keys ...string) error
	// Delete deletes the object under key and returns when that is durable. If there is none, that is no error. No Put of the key may be
	// in progress.
	Delete(ctx context.Context, key string) error
	// Check returns an error unless the bucket exists and works as needed. In a bucket of an object store it leaves one small
	// object that explains its purpose.
	Check(ctx context.Context) error
}

// Attributes are stored with an object if the store supports them.
type Attributes struct {
	MediaType string // such as image/png; "" when it is not known
	SHA256    string // of the content, 64 lower-case hexadecimal digits; "" or what the spool says
	Unsynced  bool   // Put need not wait until the name is durable; Sync follows. The content is durable before it has the name.
}

// Object is an open object.
type Object struct {
	io.ReadCloser
	Bytes int64
}
