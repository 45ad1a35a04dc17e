package fakevendor

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/adler32"
	"hash/crc32"
	"io"
	"math"
)

// largePNG is a valid PNG of any length that is nowhere held: its pixels are in
// stored deflate blocks, one per IDAT chunk and each of whole rows, so that every
// part of the file can be made for itself.
//
//	head:   signature, IHDR, an IDAT with the header of the zlib stream
//	blocks: IDAT with a stored block of rows, the last block possibly shorter
//	tail:   an IDAT with the checksum of all rows, IEND
type largePNG struct {
	width, height int // pixels
	rowsPerBlock  int
	seed          uint64
	checksum      uint32 // Adler-32 of all rows
	digest        [sha256.Size]byte
}

const (
	minLargeBytes = 4 << 10
	maxStored     = 65_535              // bytes in one stored deflate block
	maxLargeWidth = (maxStored - 1) / 3 // pixels, so that a block holds a row
	chunkOverhead = 12                  // length, type and checksum of a PNG chunk
	blockOverhead = chunkOverhead + 5   // the same and the header of a stored block
	headBytes     = 8 + chunkOverhead + 13 + chunkOverhead + 2
	tailBytes     = chunkOverhead + 4 + chunkOverhead
	pngSignature  = "\x89PNG\r\n\x1a\n"
)

// newLargePNG plans a file of about so many bytes, roughly square, and reads it through once for its digest.
func newLargePNG(bytes int64, seed uint64) *largePNG {
	width := min(int(math.Sqrt(float64(bytes)/3)), maxLargeWidth)
	p := &largePNG{width: width, seed: seed}
	p.height = int(bytes / int64(p.rowBytes()))
	p.rowsPerBlock = maxStored / p.rowBytes()
	p.measure()
	return p
}

// measure makes every block once, for the checksum, and then hashes the whole.
func (p *largePNG) measure() {
	sum, rows := sha256.New(), adler32.New()
	reader := &largeReader{file: p}
	for part := range p.blocks() + 1 { // the head and the blocks
		made := reader.part(part)
		_, _ = sum.Write(made) // a hash never fails
		if part > 0 {
			addRows(rows, made)
		}
	}
	p.checksum = rows.Sum32()
	_, _ = sum.Write(p.appendTail(nil))
	sum.Sum(p.digest[:0])
}

// addRows adds the rows of a block's chunk to the checksum of the zlib stream.
func addRows(checksum hash.Hash32, chunk []byte) {
	const before, after = 8 + 5, 4 // chunk header and block header, chunk checksum
	_, _ = checksum.Write(chunk[before : len(chunk)-after])
}

func (p *largePNG) rowBytes() int { return 1 + 3*p.width }

func (p *largePNG) blocks() int { return (p.height + p.rowsPerBlock - 1) / p.rowsPerBlock }

// blockBytes is the length of the chunk of every block but the last.
func (p *largePNG) blockBytes() int { return blockOverhead + p.rowsPerBlock*p.rowBytes() }

func (p *largePNG) size() int64 {
	return headBytes + int64(p.blocks())*blockOverhead + int64(p.height)*int64(p.rowBytes()) + tailBytes
}

func (p *largePNG) sum() [sha256.Size]byte          { return p.digest }
func (p *largePNG) dimensions() (width, height int) { return p.width, p.height }

func (p *largePNG) open() io.ReadSeeker {
	return io.NewSectionReader(&largeReader{file: p}, 0, p.size())
}

// largeReader makes the parts of a file that are asked for, one at a time; part 0
// is the head, the last one the tail. It is for one goroutine.
type largeReader struct {
	file   *largePNG
	buffer []byte
	held   int // the part in buffer, where that is not empty
}

// ReadAt reads from the part that holds the offset, as far as it goes.
func (r *largeReader) ReadAt(target []byte, offset int64) (int, error) {
	read := 0
	for read < len(target) {
		part, start := r.file.locate(offset + int64(read))
		if part > r.file.blocks()+1 {
			return read, io.EOF
		}
		read += copy(target[read:], r.part(part)[start:])
	}
	return read, nil
}

// locate says in which part an offset is, and where there.
func (p *largePNG) locate(offset int64) (part, start int) {
	if offset < headBytes {
		return 0, int(offset)
	}
	tail := p.size() - tailBytes
	switch {
	case offset >= p.size():
		return p.blocks() + 2, 0
	case offset >= tail:
		return p.blocks() + 1, int(offset - tail)
	}
	inBlocks := offset - headBytes
	return 1 + int(inBlocks/int64(p.blockBytes())), int(inBlocks % int64(p.blockBytes()))
}

func (r *largeReader) part(part int) []byte {
	if len(r.buffer) > 0 && r.held == part {
		return r.buffer
	}
	r.held = part
	switch empty := r.buffer[:0]; {
	case part == 0:
		r.buffer = r.file.appendHead(empty)
	case part <= r.file.blocks():
		r.buffer = r.file.appendBlock(empty, part-1)
	default:
		r.buffer = r.file.appendTail(empty)
	}
	return r.buffer
}

func (p *largePNG) appendHead(target []byte) []byte {
	target = append(target, pngSignature...)
	target = appendChunk(target, "IHDR", func(data []byte) []byte {
		data = binary.BigEndian.AppendUint32(data, uint32(p.width))
		data = binary.BigEndian.AppendUint32(data, uint32(p.height))
		return append(data, 8, 2, 0, 0, 0) // 8 bits, RGB, deflate, filters of PNG, not interlaced
	})
	return appendChunk(target, "IDAT", func(data []byte) []byte { return append(data, 0x78, 0x01) })
}

func (p *largePNG) appendBlock(target []byte, block int) []byte {
	first := block * p.rowsPerBlock
	last := min(first+p.rowsPerBlock, p.height)
	length := uint16((last - first) * p.rowBytes())
	return appendChunk(target, "IDAT", func(data []byte) []byte {
		final := byte(0)
		if last == p.height {
			final = 1
		}
		data = append(data, final)
		data = binary.LittleEndian.AppendUint16(data, length)
		data = binary.LittleEndian.AppendUint16(data, ^length)
		for y := first; y < last; y++ {
			data = p.appendRow(data, y)
		}
		return data
	})
}

// appendRow appends the filter and the pixels of a row: two gradients and a woven pattern.
func (p *largePNG) appendRow(target []byte, y int) []byte {
	target = append(target, 0)
	green := byte(y * 255 / p.height)
	weave := uint32(y) + uint32(p.seed)
	for x := range p.width {
		target = append(target, byte(x*255/p.width), green, byte((uint32(x)^weave)>>3))
	}
	return target
}

func (p *largePNG) appendTail(target []byte) []byte {
	target = appendChunk(target, "IDAT", func(data []byte) []byte {
		return binary.BigEndian.AppendUint32(data, p.checksum)
	})
	return appendChunk(target, "IEND", func(data []byte) []byte { return data })
}

// appendChunk appends a PNG chunk whose data is what fill appends.
func appendChunk(target []byte, kind string, fill func([]byte) []byte) []byte {
	start := len(target)
	target = append(target, 0, 0, 0, 0)
	target = fill(append(target, kind...))
	binary.BigEndian.PutUint32(target[start:], uint32(len(target)-start-8))
	return binary.BigEndian.AppendUint32(target, crc32.ChecksumIEEE(target[start+4:]))
}
