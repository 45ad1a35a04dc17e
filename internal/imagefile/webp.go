package imagefile

import (
	"encoding/binary"
)

const webpChunk = 20 // "RIFF", length, "WEBP", then type and length of the first chunk

// inspectWebP reads the first chunk: VP8X (extended, animated), VP8L (lossless) or VP8 (lossy).
func inspectWebP(s *source) (area, error) {
	var head [webpChunk]byte
	if err := s.read(head[:], 0); err != nil {
		return area{}, err
	}
	size, err := webpSize(s, string(head[12:16]))
	if err != nil {
		return area{}, err
	}
	// What comes after the RIFF container is tolerated.
	if end := 8 + int64(binary.LittleEndian.Uint32(head[4:])); end > s.size {
		return area{}, truncated("it is shorter than its RIFF header says")
	}
	return size, nil
}

func webpSize(s *source, chunk string) (area, error) {
	switch chunk {
	case "VP8X":
		return webpCanvas(s)
	case "VP8L":
		return webpLossless(s)
	case "VP8 ":
		return webpLossy(s)
	}
	return area{}, unknown("its first chunk is not VP8, VP8L or VP8X")
}

// webpCanvas reads flags and three reserved bytes, then width and height minus
// one in 24 bits each.
func webpCanvas(s *source) (area, error) {
	var data [10]byte
	if err := s.read(data[:], webpChunk); err != nil {
		return area{}, err
	}
	width := uint64(data[4]) | uint64(data[5])<<8 | uint64(data[6])<<16
	height := uint64(data[7]) | uint64(data[8])<<8 | uint64(data[9])<<16
	return area{width + 1, height + 1}, nil
}

// webpLossless reads a signature byte, then width and height minus one in 14 bits each.
func webpLossless(s *source) (area, error) {
	var data [5]byte
	if err := s.read(data[:], webpChunk); err != nil {
		return area{}, err
	}
	if data[0] != 0x2f {
		return area{}, unknown("its VP8L chunk has no signature")
	}
	bits := uint64(binary.LittleEndian.Uint32(data[1:]))
	return area{bits&0x3fff + 1, bits>>14&0x3fff + 1}, nil
}

// webpLossy reads a frame tag, whose lowest bit is 0 for a key frame, a start code,
// then width and height in 14 bits each, with a scale above them.
func webpLossy(s *source) (area, error) {
	var data [10]byte
	if err := s.read(data[:], webpChunk); err != nil {
		return area{}, err
	}
	if data[0]&1 != 0 || string(data[3:6]) != "\x9d\x01\x2a" {
		return area{}, unknown("its VP8 chunk has no key frame")
	}
	width, height := binary.LittleEndian.Uint16(data[6:]), binary.LittleEndian.Uint16(data[8:])
	return area{uint64(width & 0x3fff), uint64(height & 0x3fff)}, nil
}
