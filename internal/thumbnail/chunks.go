package thumbnail

import (
	"encoding/binary"

	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// maxEXIF is how much EXIF data of a file is kept, in bytes.
const maxEXIF = 1 << 20

// chunks finds the EXIF data of a PNG or WebP in what is written to it, because it can be behind the pixels.
type chunks struct {
	isPNG bool
	head  []byte // of the next chunk, as far as it was written
	left  int64  // bytes of the chunk that are not written yet
	keep  bool   // the chunk is EXIF data
	exif  []byte
}

// newChunks returns chunks for a file of package image's format, nil if that has none.
func newChunks(format string) *chunks {
	switch format {
	case "png":
		return &chunks{isPNG: true, left: 8} // the signature
	case "webp":
		return &chunks{left: 12} // RIFF, its length, WEBP
	default:
		return nil
	}
}

// Write never fails.
func (c *chunks) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		var n int64
		if c.left > 0 {
			n = min(c.left, int64(len(p)))
			if c.keep {
				c.exif = append(c.exif, p[:n]...)
			}
			c.left -= n
		} else {
			n = c.begin(p)
		}
		p = p[n:]
	}
	return written, nil
}

// begin reads the head of a chunk, its length and name in the order of the format, and returns how many bytes of p belong to it.
func (c *chunks) begin(p []byte) int64 {
	const size = 8
	n := min(size-len(c.head), len(p))
	if c.head = append(c.head, p[:n]...); len(c.head) < size {
		return int64(n)
	}
	name, length := string(c.head[:4]), int64(binary.LittleEndian.Uint32(c.head[4:]))
	c.left = length + length%2
	if c.isPNG {
		const checksum = 4
		name, length = string(c.head[4:]), int64(binary.BigEndian.Uint32(c.head))
		c.left = length + checksum
	}
	c.keep = (name == "eXIf" || name == "EXIF") && length <= maxEXIF && c.exif == nil
	c.head = c.head[:0]
	return int64(n)
}

// orientation returns how the picture is turned for display, from 1 to 8.
func (c *chunks) orientation() int { return imagefile.EXIFOrientation(c.exif) }
