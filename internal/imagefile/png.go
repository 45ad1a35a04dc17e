package imagefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

const (
	pngSignature = 8
	pngChunk     = 12 // length, type and checksum around the data of a chunk
)

// inspectPNG reads the first chunk, which has to be IHDR.
func inspectPNG(s *source) (area, error) {
	var head [pngSignature + pngChunk + 13]byte
	if err := s.read(head[:], 0); err != nil {
		return area{}, err
	}
	chunk, sum := head[12:29], binary.BigEndian.Uint32(head[29:])
	if binary.BigEndian.Uint32(head[8:]) != 13 || !bytes.HasPrefix(chunk, []byte("IHDR")) || crc32.ChecksumIEEE(chunk) != sum {
		return area{}, unknown("it has no sound IHDR chunk")
	}
	size := area{uint64(binary.BigEndian.Uint32(chunk[4:])), uint64(binary.BigEndian.Uint32(chunk[8:]))}
	return size, pngEnd(s, int64(len(head)))
}

// pngEnd looks for the IEND chunk. It is nearly always the last 12 bytes; where
// something was appended, the chunks are counted off.
func pngEnd(s *source, start int64) error {
	tail, err := s.tail(start, tailBytes)
	if err != nil {
		return err
	}
	if bytes.Contains(tail, []byte("\x00\x00\x00\x00IEND\xae\x42\x60\x82")) {
		return nil
	}
	err = pngWalk(s, start)
	if errors.Is(err, errBudget) {
		return nil // in doubt
	}
	return err
}

func pngWalk(s *source, offset int64) error {
	for {
		var head [8]byte
		if err := s.read(head[:], offset); err != nil {
			return err
		}
		offset += pngChunk + int64(binary.BigEndian.Uint32(head[:]))
		if offset > s.size {
			return truncated("a chunk lies beyond the end of the file")
		}
		if string(head[4:]) == "IEND" {
			return nil
		}
	}
}
