package imagefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	minWindow = 4 << 10  // bytes that a read at a new place fetches
	maxWindow = 64 << 10 // bytes that reads one after the other fetch
	spareRead = 8 << 20  // bytes that an inspection may read beyond twice the size of the file
)

// errBudget reports a structure that leads to the same bytes again and again.
var errBudget = unknown("its structure refers to the same bytes too often")

// source reads a file through one window. Reads in ascending order cost about one pass over the
// bytes that are asked for; the budget bounds files whose structure leads back and forth.
type source struct {
	reader io.ReaderAt
	size   int64
	budget int64 // bytes that may still be read from reader

	window []byte
	start  int64 // offset of window in the file
}

func newSource(r io.ReaderAt, size int64) *source {
	size = max(size, 0)
	return &source{reader: r, size: size, budget: min(size, 1<<50)*2 + spareRead}
}

// section returns the bytes from start as a file of their own, with a share of the budget.
func (s *source) section(start, length int64) *source {
	return &source{reader: io.NewSectionReader(s.reader, start, length), size: length, budget: min(s.budget, 2*length+minWindow)}
}

// read fills p from offset. It returns ErrTruncated if the file ends before that.
func (s *source) read(p []byte, offset int64) error {
	if offset < 0 || offset > s.size-int64(len(p)) {
		return truncated("a header lies beyond the end of the file")
	}
	for len(p) > 0 {
		if err := s.move(offset); err != nil {
			return err
		}
		n := copy(p, s.window[offset-s.start:])
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}

// move makes the window hold the byte at offset, which is within the file.
func (s *source) move(offset int64) error {
	end := s.start + int64(len(s.window))
	if offset >= s.start && offset < end {
		return nil
	}
	length := int64(minWindow)
	if offset == end && len(s.window) > 0 {
		length = min(2*int64(len(s.window)), maxWindow)
	}
	if length = min(length, s.size-offset); length <= 0 {
		return truncated("the file is shorter than it should be")
	}
	if s.budget -= length; s.budget < 0 {
		return errBudget
	}
	if int64(cap(s.window)) < length {
		s.window = make([]byte, length)
	}
	s.window, s.start = s.window[:length], offset
	n, err := s.reader.ReadAt(s.window, offset)
	if n == len(s.window) {
		return nil
	}
	s.window = s.window[:n]
	if err != nil && !errors.Is(err, io.EOF) {
		s.window = s.window[:0]
		return fmt.Errorf("imagefile: %w", err)
	}
	s.size = offset + int64(n)
	if n == 0 {
		return truncated("the file is shorter than it should be")
	}
	return nil
}

// find returns the offset of the first byte b at or after offset, or -1 if there is none.
func (s *source) find(b byte, offset int64) (int64, error) {
	for offset < s.size {
		if err := s.move(offset); err != nil {
			return 0, err
		}
		rest := s.window[offset-s.start:]
		if at := bytes.IndexByte(rest, b); at >= 0 {
			return offset + int64(at), nil
		}
		offset += int64(len(rest))
	}
	return -1, nil
}

// sum passes the bytes between two offsets to add.
func (s *source) sum(start, end int64, add func([]byte)) error {
	if end > s.size {
		return truncated("the file ends before its content")
	}
	for start < end {
		if err := s.move(start); err != nil {
			return err
		}
		part := s.window[start-s.start:]
		part = part[:min(int64(len(part)), end-start)]
		add(part)
		start += int64(len(part))
	}
	return nil
}
