package blobstore

import (
	"context"
	"crypto/md5" //nolint:gosec // no safeguard: services compare it to find faults of a transfer
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// content is the content of a spool for a service. It can be read again from any offset, so that a request can be repeated
// without a copy in memory.
type content struct {
	from      io.ReaderAt
	size      int64
	sha256    string // hexadecimal
	mediaType string // "" when it is not known
}

func contentOf(spool *Spool, attributes Attributes) content {
	return content{from: spool, size: spool.Size(), sha256: spool.SHA256(), mediaType: attributes.MediaType}
}

// section returns a reader of size bytes from offset on.
func (c content) section(offset, size int64) *io.SectionReader {
	return io.NewSectionReader(whole{c}, offset, size)
}

// all returns a reader of everything.
func (c content) all() *io.SectionReader { return c.section(0, c.size) }

// sums are the hashes by which a service checks on its arrival what was sent.
type sums struct {
	md5    []byte
	sha256 string // hexadecimal
}

// sums reads a part of the content, which goes into whole too.
func (c content) sums(ctx context.Context, offset, size int64, whole io.Writer) (sums, error) {
	md5, sha256 := md5.New(), sha256.New() //nolint:gosec // see the import
	if _, err := io.Copy(io.MultiWriter(md5, sha256, whole), reader{ctx, c.section(offset, size)}); err != nil {
		return sums{}, err
	}
	return sums{md5: md5.Sum(nil), sha256: hex.EncodeToString(sha256.Sum(nil))}, nil
}

// md5 is the sum of everything, which must still be what was written to the spool.
func (c content) md5(ctx context.Context) ([]byte, error) {
	whole := sha256.New()
	sum := md5.New() //nolint:gosec // see the import
	if _, err := io.Copy(io.MultiWriter(sum, whole), reader{ctx, c.all()}); err != nil {
		return nil, err
	}
	return sum.Sum(nil), c.verify(whole)
}

// verify compares what was read of the content, all of it, with what was written: disks forget.
func (c content) verify(whole hash.Hash) error {
	if hex.EncodeToString(whole.Sum(nil)) != c.sha256 {
		return &sourceError{errors.New("the spool does not hold any more what was written to it")}
	}
	return nil
}

// whole returns an error where the content is shorter than it should be: what
// follows a silent end would be hard to explain.
type whole struct{ content }

// ReadAt reads what was written to the spool.
func (w whole) ReadAt(p []byte, offset int64) (int, error) {
	n, err := w.from.ReadAt(p, offset)
	if err != nil && offset+int64(n) < w.size {
		return n, &sourceError{fmt.Errorf("the spool ends or breaks at byte %d of %d: %w", offset+int64(n), w.size, err)}
	}
	return n, err
}

// sourceError is an error of the spool, not of the service.
type sourceError struct{ error }

// Unwrap returns the cause.
func (e *sourceError) Unwrap() error { return e.error }
