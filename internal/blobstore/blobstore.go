// Package blobstore keeps whole objects under keys: written once, atomically,
// durably, never overwritten. What is to be stored is first spooled to a local
// file, where it can be checked; only then does it get its name.
package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"
)

// Bucket is a store of objects. It is safe for use by many goroutines.
type Bucket interface {
	// Spool makes an empty local file for content that is still to be checked. Close it in any case.
	Spool(ctx context.Context) (*Spool, error)
	// Put stores what the spool holds under key and returns when it is safe: after a
	// crash the key holds the whole content or nothing. If the key already holds the
	// same content, that is left and Put succeeds; if it holds something else, ErrConflict.
	// After a conflict, or any failure but one of the disk below the spool, the spool
	// can be put again, also under another key.
	// Other errors a caller can tell: ErrKey, ErrFull.
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
	MediaType string // such as image/png; "" when it is not known
	SHA256    string // of the content, 64 lower-case hexadecimal digits; "" or what the spool says
}

// Object is an object that is being read.
type Object struct {
	io.ReadCloser
	Bytes    int64
	Modified time.Time
}

// Open opens the bucket at rawURL. One kind is supported: file:///absolute/folder,
// or file://./folder for a folder below the working directory; the folder is
// made when it is missing. Errors do not repeat rawURL, which may hold credentials.
func Open(ctx context.Context, rawURL string) (Bucket, error) {
	address, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("blobstore: the bucket is not a URL such as file:///var/lib/images")
	}
	if address.Scheme != "file" {
		return nil, fmt.Errorf("blobstore: the scheme %q of the bucket URL is not supported; file:// is", address.Scheme)
	}
	folder, err := folderOf(address)
	if err != nil {
		return nil, err
	}
	return openFileBucket(ctx, folder)
}
