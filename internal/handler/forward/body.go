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

// body is what a call carries while it is sent: one piece after the other. The transport reads and
// closes it in a goroutine of its own, which can outlive the answer.
type body struct {
	ctx    context.Context // of the call; a source is read as long as it lives
	rest   []piece
	open   io.ReadCloser  // of the piece at hand; nil between two
	begin  func()         // called before a source is read
	end    func(all bool) // called after: whether there is nothing more to read
	closed chan struct{}
	once   sync.Once

	mutex  sync.Mutex
	failed error // of a source
}

// Read reads on. A source that fails, or does not give what was announced, breaks the call
// off before its last byte.
func (b *body) Read(p []byte) (int, error) {
	b.begin()
	defer func() { b.end(len(b.rest) == 0 && b.open == nil) }()
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

// next opens the next piece. It is false when there is none, or it cannot be opened.
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

// outcome ends the body: in order, or with what went wrong.
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

// failure is what went wrong with a source, or nil.
func (b *body) failure() error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.failed
}

// Close is the transport's last word.
func (b *body) Close() error {
	b.once.Do(func() {
		if b.open != nil {
			_ = b.open.Close() // it was only read from
		}
		close(b.closed)
	})
	return nil
}

// errChanged says that a source gave something else than was announced.
var errChanged = errors.New("the stored image is not the one that was recorded: its length or its SHA-256 differs")

// exact is a source that must have a length and a hash. Its last piece is given out only when both are right.
type exact struct {
	io.ReadCloser
	left int64
	sum  hash.Hash
	want string
}

// Read reads on.
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
		return n, nil // the next call gives the end
	}
	return n, err
}
