package imagefile

import (
	"encoding/binary"
	"iter"
	"math"
)

// maxContent bounds what is read of the content of one box, in bytes.
const maxContent = 1 << 20

// box is a piece of an ISO base media file: content with a type of four letters.
type box struct {
	kind       string
	start, end int64 // of the content in the file; the end may lie beyond that of what encloses it
}

// boxes iterates over the boxes between two offsets. It ends early with an error from reading or
// from an impossible length; the caller checks that a box fits.
func (s *source) boxes(start, end int64) iter.Seq2[box, error] {
	return func(yield func(box, error) bool) {
		for start < end {
			found, err := s.box(start, end)
			if !yield(found, err) || err != nil {
				return
			}
			start = found.end
		}
	}
}

// box reads the head of the box at start: length and type, then a longer length if that is 1. A box of length 0 goes on
// to the end.
func (s *source) box(start, end int64) (box, error) {
	var head [16]byte
	if err := s.read(head[:8], start); err != nil {
		return box{}, err
	}
	found := box{kind: string(head[4:8]), start: start + 8}
	length := uint64(binary.BigEndian.Uint32(head[:]))
	switch length {
	case 0:
		found.end = end
		return found, nil
	case 1:
		if err := s.read(head[:], start); err != nil {
			return found, err
		}
		found.start, length = start+16, binary.BigEndian.Uint64(head[8:])
	}
	found.end = start + int64(min(length, math.MaxInt64/2))
	if found.end < found.start {
		return found, unknown("a box is shorter than its head")
	}
	return found, nil
}

// children iterates over the boxes in b that begin after skip bytes of other content. One that does not fit is an error.
func (s *source) children(b box, skip int64) iter.Seq2[box, error] {
	return func(yield func(box, error) bool) {
		for child, err := range s.boxes(b.start+skip, b.end) {
			if err == nil && child.end > b.end {
				err = unknown("a box does not fit into the one around it")
			}
			if !yield(child, err) || err != nil {
				return
			}
		}
	}
}

// content reads the content of a box, of a large one only the beginning.
func (s *source) content(b box) (*cursor, error) {
	p := make([]byte, min(b.end-b.start, maxContent, s.size))
	return &cursor{rest: p}, s.read(p, b.start)
}

// cursor reads big-endian numbers one after the other.
type cursor struct {
	rest  []byte
	short bool // more was asked for than there is
}

func (c *cursor) skip(n int) {
	if n > len(c.rest) {
		c.rest, c.short = nil, true
		return
	}
	c.rest = c.rest[n:]
}

// number reads a number of 0 to 8 bytes. It is 0 after the end.
func (c *cursor) number(width int) uint64 {
	var n uint64
	for i := range min(width, len(c.rest)) {
		n = n<<8 | uint64(c.rest[i])
	}
	if c.skip(width); c.short {
		return 0
	}
	return n
}

// text reads n bytes.
func (c *cursor) text(n int) string {
	if n > len(c.rest) {
		c.skip(n)
		return ""
	}
	text := string(c.rest[:n])
	c.rest = c.rest[n:]
	return text
}
