package imagefile

import (
	"encoding/binary"
	"math"
	"slices"
)

const (
	webpStart = 12 // bytes of "RIFF", length, "WEBP"
	webpChunk = 8  // bytes of type and length in front of the data of a chunk
	webpData  = webpStart + webpChunk
)

// inspectWebP reads the first chunk, VP8 (lossy), VP8L (lossless) or VP8X (extended, animated), and walks the chunks.
func inspectWebP(s *source) (dimensions, error) {
	var head [webpData]byte
	if err := s.read(head[:], 0); err != nil {
		return dimensions{}, err
	}
	kind := string(head[webpStart : webpStart+4])
	found, err := webpSize(s, kind)
	if err != nil {
		return found, err
	}
	if kind != "VP8X" { // the one chunk is all
		_, _, err := s.webpChunk(webpStart)
		return found, err
	}
	found.orientation, err = s.webpWalk(int64(binary.LittleEndian.Uint32(head[4:])))
	return found, err
}

// webpWalk walks the chunks of a file in the extended form and returns its orientation, or 0. Writers of streams leave
// the length of the container at 0 or at its largest value: then the chunks go on to the end of the file. Others count the last padding byte or not.
func (s *source) webpWalk(riff int64) (orientation int, err error) {
	end := 8 + riff
	if riff == 0 || riff >= math.MaxUint32-1 {
		end = s.size
	}
	images := 0
	for offset := int64(webpStart); offset < min(end, s.size); {
		kind, next, err := s.webpChunk(offset)
		if err != nil && images > 0 && !isWebPChunk(kind) {
			break // what follows is no part of the image
		}
		if err != nil {
			return 0, err
		}
		switch kind {
		case "VP8 ", "VP8L", "ANMF":
			images++
		case "EXIF":
			start := offset + webpChunk
			orientation = exifOrientation(s, start, min(next-start, maxExif))
		}
		offset = next + next&1
	}
	switch {
	case images == 0:
		return 0, truncated("its pixels are missing")
	case end > s.size+1:
		return 0, truncated("it is shorter than its RIFF header says")
	default:
		return orientation, nil
	}
}

// webpChunk returns the type of the chunk at offset and where its data ends; a padding byte makes the offset of the next even.
func (s *source) webpChunk(offset int64) (kind string, end int64, err error) {
	var head [webpChunk]byte
	if err := s.read(head[:], offset); err != nil {
		return "", 0, err
	}
	kind = string(head[:4])
	end = offset + webpChunk + int64(binary.LittleEndian.Uint32(head[4:]))
	if end > s.size {
		return kind, 0, truncated("a chunk lies beyond the end of the file")
	}
	return kind, end, nil
}

func isWebPChunk(kind string) bool {
	return slices.Contains([]string{"VP8 ", "VP8L", "VP8X", "ANIM", "ANMF", "ALPH", "ICCP", "EXIF", "XMP "}, kind)
}

func webpSize(s *source, chunk string) (dimensions, error) {
	switch chunk {
	case "VP8X":
		return webpCanvas(s)
	case "VP8L":
		return webpLossless(s)
	case "VP8 ":
		return webpLossy(s)
	}
	return dimensions{}, unknown("its first chunk is not VP8, VP8L or VP8X")
}

// webpCanvas reads flags and three reserved bytes, then width and height minus one in 24 bits each.
func webpCanvas(s *source) (dimensions, error) {
	var data [10]byte
	if err := s.read(data[:], webpData); err != nil {
		return dimensions{}, err
	}
	width := uint64(data[4]) | uint64(data[5])<<8 | uint64(data[6])<<16
	height := uint64(data[7]) | uint64(data[8])<<8 | uint64(data[9])<<16
	return dimensions{width: width + 1, height: height + 1}, nil
}

// webpLossless reads a signature byte, then width and height minus one in 14 bits each.
func webpLossless(s *source) (dimensions, error) {
	var data [5]byte
	if err := s.read(data[:], webpData); err != nil {
		return dimensions{}, err
	}
	if data[0] != 0x2f {
		return dimensions{}, unknown("its VP8L chunk has no signature")
	}
	bits := uint64(binary.LittleEndian.Uint32(data[1:]))
	return dimensions{width: bits&0x3fff + 1, height: bits>>14&0x3fff + 1}, nil
}

// webpLossy reads a frame tag, whose lowest bit is 0 for a key frame, a start code, then width and height in 14 bits
// each, with a scale above them.
func webpLossy(s *source) (dimensions, error) {
	var data [10]byte
	if err := s.read(data[:], webpData); err != nil {
		return dimensions{}, err
	}
	if data[0]&1 != 0 || string(data[3:6]) != "\x9d\x01\x2a" {
		return dimensions{}, unknown("its VP8 chunk has no key frame")
	}
	width, height := binary.LittleEndian.Uint16(data[6:]), binary.LittleEndian.Uint16(data[8:])
	return dimensions{width: uint64(width & 0x3fff), height: uint64(height & 0x3fff)}, nil
}
