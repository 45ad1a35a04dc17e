package thumbnail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// step is the maximum number of bytes that a decoder reads at once. A few bytes of a hostile file can make it process
// all pixels, and it can only be stopped between two reads.
const step = 1 << 10

var errLong = fmt.Errorf("%w: decoding takes too long", ErrUnfit)

// source reads the file of an image for a decoder, and records what stopped it. That is no fault of the
// image, unless decoding took too long.
type source struct {
	over          func() error // returns an error when the caller no longer waits
	file          io.Reader
	left          int64         // bytes of the file that may still be read
	began         time.Time     // of decoding
	waited        time.Duration // for the file
	decodeTimeout time.Duration // without the wait for the file
	failure       error
}

func newSource(ctx context.Context, file io.Reader, decodeTimeout time.Duration) *source {
	return &source{over: ctx.Err, file: file, left: maxFile, began: time.Now(), decodeTimeout: decodeTimeout}
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), step, s.left)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	asked := time.Now()
	n, err := s.file.Read(p)
	s.waited += time.Since(asked)
	s.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failure = fmt.Errorf("thumbnail: read: %w", err)
		return n, s.failure
	}
	return n, err
}

// check returns an error if decoding must stop.
func (s *source) check() error {
	if s.failure == nil {
		s.failure = s.over()
	}
	if s.failure == nil && time.Since(s.began)-s.waited > s.decodeTimeout {
		s.failure = errLong
	}
	return s.failure
}

// opening is the part of a file that was read so far. It is kept, so that a file that can be read once
// can still be read from its beginning.
type opening struct {
	source *source
	chunks [][]byte // all of the same capacity, all but the last full
	bytes  int64
	ended  error // what came after the last byte
}

const chunkBytes = 64 << 10

// ReadAt reads more of the file if necessary.
func (o *opening) ReadAt(p []byte, offset int64) (int, error) {
	if err := o.source.check(); err != nil {
		return 0, err
	}
	for o.ended == nil && o.bytes < offset+int64(len(p)) {
		o.more()
	}
	done := 0
	for done < len(p) && offset+int64(done) < o.bytes {
		at := offset + int64(done)
		done += copy(p[done:], o.chunks[at/chunkBytes][at%chunkBytes:])
	}
	if done < len(p) {
		return done, o.ended
	}
	return done, nil
}

func (o *opening) more() {
	if o.bytes%chunkBytes == 0 {
		o.chunks = append(o.chunks, make([]byte, 0, chunkBytes))
	}
	last := &o.chunks[len(o.chunks)-1]
	n, err := o.source.Read((*last)[len(*last):chunkBytes])
	*last = (*last)[:len(*last)+n]
	o.bytes += int64(n)
	o.ended = err
}

// whole reads the whole file.
func (o *opening) whole() {
	for o.ended == nil {
		o.more()
	}
}

// from reads the file from an offset in its opening to its end.
func (o *opening) from(offset int64) io.Reader {
	return io.MultiReader(io.NewSectionReader(o, offset, o.bytes-offset), o.source)
}
