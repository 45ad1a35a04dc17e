package imagefile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	pngSignature = 8
	pngChunk     = 12 // bytes of length, type and checksum around the data of a chunk
	pngHeader    = 13 // bytes of data in IHDR
	maxExif      = 1 << 20
)

// inspectPNG reads IHDR, which has to be the first chunk, and walks the chunks to IEND. The
// checksums of the chunks that decoders verify must be right.
func inspectPNG(s *source) (dimensions, error) {
	var head [pngSignature + pngChunk + pngHeader]byte
	if err := s.read(head[:], 0); err != nil {
		return dimensions{}, err
	}
	chunk, sum := head[12:29], binary.BigEndian.Uint32(head[29:])
	if binary.BigEndian.Uint32(head[8:]) != pngHeader || !bytes.HasPrefix(chunk, []byte("IHDR")) || crc32.ChecksumIEEE(chunk) != sum {
		return dimensions{}, unknown("it has no sound IHDR chunk")
	}
	found := dimensions{width: uint64(binary.BigEndian.Uint32(chunk[4:])), height: uint64(binary.BigEndian.Uint32(chunk[8:]))}
	pixels := false
	for offset := int64(len(head)); ; {
		kind, data, next, err := s.pngChunk(offset)
		if err != nil {
			return found, err
		}
		switch kind {
		case "IDAT":
			pixels = true
		case "eXIf":
			found.orientation = exifOrientation(s, data, min(next-4-data, maxExif))
		case "IEND":
			if !pixels {
				return found, unknown("it has no pixels")
			}
			return found, nil
		}
		offset = next
	}
}

// pngTurn returns the orientation in the chunk that comes before the pixels, or 0.
func pngTurn(s *source) int {
	for offset := int64(pngSignature); ; {
		var head [8]byte
		if err := s.read(head[:], offset); err != nil {
			return 0
		}
		data, length := offset+8, int64(binary.BigEndian.Uint32(head[:]))
		switch string(head[4:]) {
		case "eXIf":
			return exifOrientation(s, data, min(length, maxExif))
		case "IDAT", "IEND":
			return 0
		}
		offset = data + length + 4
	}
}

// pngChunk returns the type of the chunk at offset, where its data begins, and where the next chunk begins.
func (s *source) pngChunk(offset int64) (kind string, data, next int64, err error) {
	var head [8]byte
	if err := s.read(head[:], offset); err != nil {
		return "", 0, 0, err
	}
	kind, data = string(head[4:]), offset+8
	next = offset + pngChunk + int64(binary.BigEndian.Uint32(head[:]))
	if next > s.size {
		return "", 0, 0, truncated("a chunk lies beyond the end of the file")
	}
	if kind[0]&0x20 != 0 { // decoders may ignore it
		return kind, data, next, nil
	}
	sum := crc32.NewIEEE()
	if err := s.sum(offset+4, next-4, func(p []byte) { _, _ = sum.Write(p) }); err != nil {
		return "", 0, 0, err
	}
	var want [4]byte
	if err := s.read(want[:], next-4); err != nil {
		return "", 0, 0, err
	}
	if binary.BigEndian.Uint32(want[:]) != sum.Sum32() {
		return "", 0, 0, truncated("the checksum of a chunk is wrong")
	}
	return kind, data, next, nil
}
