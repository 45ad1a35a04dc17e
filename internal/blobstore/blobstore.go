// Package blobstore keeps whole objects under keys: written once, atomically,
// durably, never overwritten. What is to be stored is first spooled to a local
// file, where it can be checked; only then does it get its name.
package blobstore

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrConflict says that the key holds something else already.
var ErrConflict = errors.New("blobstore: the key holds a different object")

// ErrNotFound says that the key holds nothing.
var ErrNotFound = errors.New("blobstore: no such object")

// Bucket is a store of objects. It is safe for use by many goroutines.
type Bucket interface {
	// Spool makes an empty local file for content that is still to be checked. Close it in any case.
	Spool(ctx context.Context) (*Spool, error)
	// Put stores what the spool holds under key and returns when it is safe: after a
	// crash the key holds the whole content or nothing. If the key already holds the
	// same content, that is left and Put succeeds; if it holds something else, ErrConflict.
	Put(ctx context.Context, key string, spool *Spool, attributes Attributes) error
	// Open reads the object under key, or gives ErrNotFound.
	Open(ctx context.Context, key string) (*Object, error)
	// URL is the address of key, without credentials.
	URL(key string) string
	// Close gives back what the bucket holds; no call may be under way.
	Close() error
}

// Attributes go with an object where the store can keep them.
type Attributes struct {
	MediaType string
	SHA256    string
}

// Object is an object that is being read.
type Object struct {
	io.ReadCloser
	Bytes    int64
	Modified time.Time
}
