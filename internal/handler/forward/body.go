package forward

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
)

// body is the body of a request: its pieces in order. The transport reads and closes it in a goroutine of its own, which
// can outlive the response.
type body struct {
	ctx        context.Context // of the call, for opening pieces
	rest       []piece
	open       io.ReadCloser // current piece; nil between two
	beforeRead func()
	afterRead  func(isLast bool) // isLast: there is nothing more to read
	closed     chan struct{}
	once       sync.Once

	mutex  sync.Mutex
	failed error // of a piece
}

// Read reads the pieces in order. A piece that fails, or differs from what was announced, ends the body before its last
// byte.
func (b *body) Read(p []byte) (int, error) {
	b.beforeRead()
	defer func() { b.afterRead(len(b.rest) == 0 && b.open == nil) }()
	for {
		if b.open == nil && !b.next() {
			return 0, b.outcome()
		}
		n, err := b.open.Read(p)
		if errors.Is(err, io.EOF) {
			err = b.open.Close()
			b.open = nil
		}
		if err != nil {
			b.fail(err)
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// next opens the next piece. It returns false if there is none or it cannot be opened.
func (b *body) next() bool {
	if len(b.rest) == 0 || b.failure() != nil {
		return false
	}
	p := b.rest[0]
	b.rest = b.rest[1:]
	source, err := p.open(b.ctx)
	if err != nil {
		b.fail(err)
		return false
	}
	b.open = source
	if p.image != nil {
		b.open = &exact{ReadCloser: source, left: p.image.Bytes, sum: sha256.New(), want: p.image.SHA256}
	}
	return true
}

// outcome returns io.EOF, or the error of a piece.
func (b *body) outcome() error {
	if err := b.failure(); err != nil {
		return err
	}
	return io.EOF
}

func (b *body) fail(err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.failed == nil {
		b.failed = err
	}
}

// failure returns the error of a piece, or nil.
func (b *body) failure() error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.failed
}

// Close closes the current piece. The transport calls it once it no longer reads.
func (b *body) Close() error {
	b.once.Do(func() {
		if b.open != nil {
			_ = b.open.Close() // it was only read from
		}
		close(b.closed)
	})
	return nil
}

// errChanged reports that a stored image differs from its record.
var errChanged = errors.New("the stored image is not the one that was recorded: its length or its SHA-256 differs")

// exact is a reader with an expected length and hash. It returns the last bytes only if both are right.
type exact struct {
	io.ReadCloser
	left int64
	sum  hash.Hash
	want string
}

// Read reads up to the expected length.
func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.ReadCloser.Read(p[:min(int64(len(p)), e.left)])
	_, _ = e.sum.Write(p[:n]) // a hash never fails
	e.left -= int64(n)
	switch {
	case e.left == 0 && hex.EncodeToString(e.sum.Sum(nil)) != e.want:
		return 0, errChanged
	case e.left > 0 && errors.Is(err, io.EOF):
		return n, errChanged
	case errors.Is(err, io.EOF):
		return n, nil // the next call returns io.EOF
	}
	return n, err
}
