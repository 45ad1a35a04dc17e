// Package blobstore keeps whole objects under keys: written once, atomically,
// durably, never overwritten, in a folder or in a bucket of an object store. What
// is to be stored is first spooled to a local file, where it can be checked; only
// then does it get its name.
package blobstore

import (
	"context"
	"io"
	"time"
)

// Bucket is a store of objects. It is safe for use by many goroutines.
type Bucket interface {
	Reader
	Writer
	// Close gives back what the bucket holds; no call may be under way, and no
	// object may be open.
	io.Closer
}

// Reader is how objects are got at.
type Reader interface {
	// Open reads the object under key, or gives ErrNotFound. The object can be read
	// as long as the context lives.
	Open(ctx context.Context, key string) (*Object, error)
	// URL is the address of key, without credentials.
	URL(key string) string
	// SignedURL is a link by which anybody can get the object under key until expiry
	// (1 second to 7 days) has passed; it is a secret therefore. Whether there is an
	// object is not looked at. It is ErrUnsupported where the bucket, or the kind of
	// credentials it is opened with, cannot make one.
	SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error)
}

// Writer is how objects are stored.
type Writer interface {
	// Spool makes an empty local file for content that is still to be checked. Close it in any case.
	Spool(ctx context.Context) (*Spool, error)
	// Put stores what the spool holds under key and returns when it is safe: after a
	// crash the key holds the whole content or nothing. If the key already holds the
	// same content, that is left and Put succeeds; if it holds something else, ErrConflict.
	// After a conflict, or any failure but one of the disk below the spool, the spool
	// can be put again, also under another key. After a failure the object may be
	// there all the same, whole, if the answer of a service got lost.
	// Other errors a caller can tell: ErrKey, ErrFull.
	Put(ctx context.Context, key string, spool *Spool, attributes Attributes) error
	// Check tries whether the bucket is there and does what is asked of it. In a
	// bucket of an object store it leaves one small object that says what it is for.
	Check(ctx context.Context) error
}

// Attributes go with an object where the store can keep them.
type Attributes struct {
	MediaType string // such as image/png; "" when it is not known
	SHA256    string // of the content, 64 lower-case hexadecimal digits; "" or what the spool says
}

// Object is an object that is being read.
type Object struct {
	io.ReadCloser
	Bytes int64
}
